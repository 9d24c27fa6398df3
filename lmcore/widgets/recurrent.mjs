// A small recurrent language model in the page: embedding, one layer of RNN, LSTM or GRU, output, as torch.nn computes them.
// A test in a browser holds states, gates and logits equal to torch's.
import { array, f32 } from "./draw.mjs";

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const ACTIVATIONS = { tanh: Math.tanh, relu: (z) => Math.max(0, z) };

/** IEEE half-precision numbers as doubles. */
function f16(view) {
  return Float64Array.from(array(Uint16Array, view), (bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  });
}

/** The models of a figure. Each spec lists its parts [name, rows, columns] in the order in which `view` holds their numbers. */
export function unpackModels(specs, view, half) {
  const numbers = half ? f16(view) : f32(view);
  let at = 0;
  return specs.map(({ parts, ...spec }) => {
    const part = Object.fromEntries(parts.map(([key, rows, columns]) =>
      [key, { rows, columns, values: numbers.subarray(at, (at += rows * columns)) }]));
    return { ...spec, ...part, "output.weight": part["output.weight"] ?? part["embedding.weight"] };
  });
}

const row = ({ columns, values }, i) => values.subarray(i * columns, (i + 1) * columns);

/** Matrix times vector. */
function product({ rows, columns, values }, vector) {
  const out = new Float64Array(rows);
  for (let i = 0, k = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += values[k++] * vector[j];
    out[i] = sum;
  }
  return out;
}

/** The state before the first token. */
export const zeroState = ({ hidden }) => ({ h: new Float64Array(hidden), c: new Float64Array(hidden) });

/** One step: token `id` read in the state `before`. Gives the next state h (and c), the gates by name, `candidate` (what could
    be written), and what word and state before each add to the sums z, biases apart. */
export function step(model, id, before) {
  const { cell, hidden: H } = model, each = (f) => Float64Array.from({ length: H }, (_, k) => f(k));
  const word = product(model["rnn.weight_ih_l0"], row(model["embedding.weight"], id));
  const memory = product(model["rnn.weight_hh_l0"], before.h);
  const a = model["rnn.bias_ih_l0"].values, b = model["rnn.bias_hh_l0"].values;
  const gate = (g) => each((k) => sigmoid(word[g * H + k] + memory[g * H + k] + a[g * H + k] + b[g * H + k]));
  if (cell === "lstm") { // torch stacks i, f, g, o
    const gates = { forget: gate(1), input: gate(0), output: gate(3) };
    const candidate = each((k) => Math.tanh(word[2 * H + k] + memory[2 * H + k] + a[2 * H + k] + b[2 * H + k]));
    const c = each((k) => gates.forget[k] * before.c[k] + gates.input[k] * candidate[k]);
    return { h: each((k) => gates.output[k] * Math.tanh(c[k])), c, gates, candidate, word, memory };
  }
  if (cell === "gru") { // r, z, n; the reset gate acts on the state's share of n, its bias included
    const gates = { reset: gate(0), update: gate(1) };
    const candidate = each((k) => Math.tanh(word[2 * H + k] + a[2 * H + k] + gates.reset[k] * (memory[2 * H + k] + b[2 * H + k])));
    return { h: each((k) => (1 - gates.update[k]) * candidate[k] + gates.update[k] * before.h[k]), c: before.c, gates, candidate, word, memory };
  }
  const bias = each((k) => a[k] + b[k]), z = each((k) => word[k] + memory[k] + bias[k]);
  return { h: z.map(ACTIVATIONS[model.nonlinearity]), c: before.c, gates: {}, word, memory, bias, z };
}

/** All steps over a text, from the zero state; without memory every step starts from zero again. */
export function run(model, ids, remembers = true) {
  const steps = [];
  for (const id of ids) steps.push(step(model, id, remembers && steps.length ? steps.at(-1) : zeroState(model)));
  return steps;
}

/** The logits of the next token after a step. */
export function logits(model, { h }) {
  return product(model["output.weight"], h).map((z, i) => z + model["output.bias"].values[i]);
}

/** Probabilities of the next token; those of `never` cannot follow anything. */
export function probabilities(scores, never) {
  const z = scores.map((score, i) => (never.includes(i) ? -Infinity : score)), top = z.reduce((x, y) => Math.max(x, y), -Infinity);
  const p = z.map((score) => Math.exp(score - top)), sum = p.reduce((x, y) => x + y, 0);
  return p.map((x) => x / sum);
}

/** What a gated unit holds (LSTM: c, GRU: h) and its three moves: keeps (0 … 1), may write (0 … 1), writes. */
export const held = ({ cell }, s) => (cell === "lstm" ? s.c : s.h);
const keeps = ({ cell }, s, k) => (cell === "lstm" ? s.gates.forget[k] : s.gates.update[k]);
const writes = ({ cell }, s, k) => (cell === "lstm" ? s.gates.input[k] : 1 - s.gates.update[k]) * s.candidate[k];

/** What unit k holds after step n, by the step that wrote it: ∏_{j=m+1…n} keep_j · write_m for m = 0 … n. They sum to `held`. */
export function kept(model, steps, n, k) {
  const shares = new Float64Array(n + 1);
  for (let m = n, keep = 1; m >= 0; m--) {
    shares[m] = keep * writes(model, steps[m], k);
    keep *= keeps(model, steps[m], k);
  }
  return shares;
}
