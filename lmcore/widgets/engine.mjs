// A Transformer that computes in the page: the parts of lmcore/attention and lmcore/blocks on Float32Arrays, and a reader of
// the model files of lmcore/widgets/model_file.py. A test in a browser holds it equal to torch.
//
// A matrix of T rows lies in one array, row after row. Weights have torch.nn's names and layout, `weight` being outputs × inputs.
// Sums are taken in double precision. Whatever takes long is a generator that yields between its parts: `whole` runs it at once,
// `inSlices` lets the page breathe in between.

// ---- model files ------------------------------------------------------------------------------------------------------

/** A number of half precision from its 16 bits. */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

/** The model in a file's bytes: `config`, and `weights`, a Map from name to { shape, data: Float32Array }. */
export function readModel(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const size = Number(view.getBigUint64(0, true)), start = 8 + size;
  const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const { config, tied } = JSON.parse(metadata.lmcore), weights = new Map();
  const table = new Float32Array(65536).map((_, half) => fromHalf(half));
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(tensors)) {
    if (dtype !== "F16") throw new Error(`its weights ${name} are in ${dtype}`);
    const data = new Float32Array((to - from) / 2);
    for (let i = 0, at = start + from; i < data.length; i++, at += 2) data[i] = table[bytes[at] | (bytes[at + 1] << 8)];
    weights.set(name, { shape, data });
  }
  for (const [name, same] of Object.entries(tied)) weights.set(name, weights.get(same));
  return { config, weights };
}

/** The model in a figure's trait: at hand in JupyterLab, loaded first on a built page; progress(loaded, all) is told in bytes. */
export const modelOf = async (model, trait, progress) => readModel(model.load ? await model.load(trait, progress) : model.get(trait));

/** The weights whose names start with `prefix`, as a function from the rest of the name to the numbers; null where there are none. */
export const part = (weights, prefix) => (name) => weights.get(prefix + name)?.data ?? null;

// ---- running ----------------------------------------------------------------------------------------------------------

/** What a generator returns, run at once. */
export function whole(steps) {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

const SLICE = 10; // milliseconds that the page may wait
const ROWS = 32; // of a product, between two breaths: some milliseconds for a model of the book; a multiple of four
const breath = () => new Promise((done) => {
  const { port1, port2 } = new MessageChannel(); // not a timer: browsers slow those down
  port1.onmessage = () => { port1.close(); done(); };
  port2.postMessage(null);
});

/** What a generator returns, run in slices between which the page can react; null once `given up()` says so. */
export async function inSlices(steps, givenUp = () => false) {
  for (let end = performance.now() + SLICE; ;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() < end) continue;
    await breath();
    if (givenUp()) return null;
    end = performance.now() + SLICE;
  }
}

// ---- parts ------------------------------------------------------------------------------------------------------------

/** x Wᵀ + b for T rows x. Four rows and two outputs are worked on together, so that every number is fetched less often. */
export function linear(x, T, weight, bias = null) {
  const I = x.length / T, O = weight.length / I, y = new Float32Array(T * O), pairs = O - (O % 2);
  const one = (t, o) => { y[t * O + o] = (bias ? bias[o] : 0) + dot(x, t * I, weight, o * I, I); };
  let t = 0;
  for (; t + 4 <= T; t += 4) {
    const p = t * I, q = p + I, r = q + I, s = r + I;
    for (let o = 0; o < pairs; o += 2) {
      const v = o * I, w = v + I;
      let a = bias ? bias[o] : 0, b = a, c = a, d = a, e = bias ? bias[o + 1] : 0, f = e, g = e, h = e;
      for (let i = 0; i < I; i++) {
        const m = weight[v + i], n = weight[w + i], xp = x[p + i], xq = x[q + i], xr = x[r + i], xs = x[s + i];
        a += m * xp; b += m * xq; c += m * xr; d += m * xs;
        e += n * xp; f += n * xq; g += n * xr; h += n * xs;
      }
      const at = t * O + o;
      y[at] = a; y[at + O] = b; y[at + 2 * O] = c; y[at + 3 * O] = d;
      y[at + 1] = e; y[at + O + 1] = f; y[at + 2 * O + 1] = g; y[at + 3 * O + 1] = h;
    }
    if (pairs < O) for (let k = t; k < t + 4; k++) one(k, pairs);
  }
  for (; t < T; t++) for (let o = 0; o < O; o++) one(t, o);
  return y;
}

/** The same as `linear`, some rows at a time. */
function* inParts(x, T, weight, bias) {
  const I = x.length / T, O = weight.length / I, y = new Float32Array(T * O);
  for (let t = 0; t < T; t += ROWS) {
    const n = Math.min(ROWS, T - t);
    y.set(linear(x.subarray(t * I, (t + n) * I), n, weight, bias), t * O);
    yield;
  }
  return y;
}

/** The dot product of n numbers of x from p on and of y from q on, in four sums that do not wait for each other. */
function dot(x, p, y, q, n) {
  let a = 0, b = 0, c = 0, d = 0, i = 0;
  for (; i + 4 <= n; i += 4) {
    a += x[p + i] * y[q + i]; b += x[p + i + 1] * y[q + i + 1]; c += x[p + i + 2] * y[q + i + 2]; d += x[p + i + 3] * y[q + i + 3];
  }
  for (; i < n; i++) a += x[p + i] * y[q + i];
  return a + b + (c + d);
}

/** Layer normalisation of T rows; ε stands in the root. */
export function layerNorm(x, T, weight, bias, eps) {
  const C = x.length / T, y = new Float32Array(x.length);
  for (let p = 0; p < x.length; p += C) {
    let mean = 0, variance = 0;
    for (let i = 0; i < C; i++) mean += x[p + i];
    mean /= C;
    for (let i = 0; i < C; i++) variance += (x[p + i] - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / C + eps);
    for (let i = 0; i < C; i++) y[p + i] = (x[p + i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
  }
  return y;
}

/** Root mean square normalisation of T rows; ε stands in the root. */
export function rmsNorm(x, T, weight, eps) {
  const C = x.length / T, y = new Float32Array(x.length);
  for (let p = 0; p < x.length; p += C) {
    const scale = 1 / Math.sqrt(dot(x, p, x, p, C) / C + eps);
    for (let i = 0; i < C; i++) y[p + i] = x[p + i] * scale * weight[i];
  }
  return y;
}

/** Rotary positions: T rows of heads of width D, the first row at position `before`; pair i is numbers i and i + D/2. */
export function rotate(x, T, D, before, base) {
  const y = new Float32Array(x.length), width = x.length / T, half = D / 2;
  for (let t = 0; t < T; t++) for (let i = 0; i < half; i++) {
    const angle = (before + t) * base ** (-2 * i / D), cos = Math.cos(angle), sin = Math.sin(angle);
    for (let p = t * width + i; p < (t + 1) * width; p += D) {
      y[p] = x[p] * cos - x[p + half] * sin;
      y[p + half] = x[p] * sin + x[p + half] * cos;
    }
  }
  return y;
}

// The normal distribution function Φ and its slope at steps of 1/128 from −8 to 8; beyond, Φ is 0 or 1 to fifteen places.
// Between two steps goes the cubic that has the values and slopes of both: its error is below 1e-11.
const END = 8, STEPS = 128, PHI = new Float64Array(2 * END * STEPS + 1), SLOPE = new Float64Array(PHI.length);
for (let i = 0; i <= END * STEPS; i++) {
  const x = i / STEPS, density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  let sum = 0, term = x;
  for (let n = 3; term > 1e-17 * sum; n += 2) { sum += term; term *= x * x / n; } // x + x³/3 + x⁵/(3·5) + …, none negative
  for (const [at, value] of [[END * STEPS + i, 0.5 + density * sum], [END * STEPS - i, 0.5 - density * sum]]) {
    PHI[at] = value;
    SLOPE[at] = density / STEPS;
  }
}

/** GELU, the exact one: x Φ(x). */
export function gelu(x) {
  if (!(x > -END)) return x < 0 ? 0 : x; // and NaN stays NaN
  if (x >= END) return x;
  const place = (x + END) * STEPS, i = Math.floor(place), u = place - i, v = 1 - u;
  return x * (v * v * (PHI[i] * (1 + 2 * u) + SLOPE[i] * u) + u * u * (PHI[i + 1] * (1 + 2 * v) - SLOPE[i + 1] * v));
}
/** GELU as GPT-2 computes it, with a hyperbolic tangent in place of Φ. */
export const geluTanh = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const silu = (x) => x / (1 + Math.exp(-x));
const ACTIVATIONS = { gelu, silu, gelu_tanh: geluTanh, relu: (x) => (x > 0 ? x : 0) };

/** Attention in `heads` heads of T queries (rows of q) to the rows of k and v; query t looks at the first sees(t) of them.
    `watch`, where there is one, is told the weights of every head h and query t: watch(h, t, weights). Keys and values may have
    fewer heads, each for heads / kvHeads neighbours. */
export function* attend(q, k, v, T, heads, sees, { watch = null, kvHeads = heads } = {}) {
  const C = q.length / T, D = C / heads, K = D * kvHeads, y = new Float32Array(q.length), weights = new Float64Array(k.length / K), sum = new Float64Array(D);
  for (let h = 0; h < heads; h++, yield) for (let t = 0; t < T; t++) {
    const n = sees(t), at = t * C + h * D, first = Math.floor(h * kvHeads / heads) * D;
    let most = -Infinity, total = 0;
    for (let s = 0; s < n; s++) { weights[s] = dot(q, at, k, s * K + first, D) / Math.sqrt(D); if (weights[s] > most) most = weights[s]; }
    sum.fill(0);
    for (let s = 0; s < n; s++) {
      const w = weights[s] = Math.exp(weights[s] - most), from = s * K + first;
      total += w;
      for (let i = 0; i < D; i++) sum[i] += w * v[from + i];
    }
    for (let i = 0; i < D; i++) y[at + i] = sum[i] / total;
    if (watch) watch(h, t, weights.slice(0, n).map((w) => w / total));
  }
  return y;
}

/** Keys and values of what one layer has read, like lmcore.attention.Cache. A copy costs nothing and stays what it is: copies
    share memory for as long as only one of them is appended to. */
export class LayerCache {
  constructor(room = { keys: new Float32Array(0), values: new Float32Array(0), filled: 0 }, length = 0) {
    this.room = room;
    this.length = length; // how many numbers of the room are its own, the rows times their width
  }
  /** The same, or only its first numbers. */
  copy(length = this.length) { return new LayerCache(this.room, length); }
  /** Append rows; the keys and values of everything so far. */
  append(keys, values) {
    const end = this.length + keys.length;
    if (this.room.filled !== this.length || end > this.room.keys.length) { // another copy has appended, or it is full
      const larger = (old) => { const numbers = new Float32Array(Math.max(end, 2 * this.length)); numbers.set(old.subarray(0, this.length)); return numbers; };
      this.room = { keys: larger(this.room.keys), values: larger(this.room.values), filled: 0 };
    }
    this.room.keys.set(keys, this.length);
    this.room.values.set(values, this.length);
    this.room.filled = this.length = end;
    return [this.room.keys.subarray(0, end), this.room.values.subarray(0, end)];
  }
}

// ---- layers -----------------------------------------------------------------------------------------------------------

const add = (x, y) => x.map((value, i) => value + y[i]);

/** Self-attention, with the queries' rows also giving keys and values, in a causal layer after those in `cache`. `w` is the
    `part` of a layer. */
function* selfAttention(x, T, w, { heads, kvHeads = heads, theta = null, sees = () => T, cache = null, watch = null }) {
  const C = x.length / T, weight = w("self_attn.in_proj_weight"), bias = w("self_attn.in_proj_bias"), parts = [];
  const D = weight.length / C / (heads + 2 * kvHeads), K = kvHeads * D, before = cache ? cache.length / K : 0;
  let row = 0;
  for (const [name, size] of [["q", heads * D], ["k", K], ["v", K]]) {
    let rows = yield* inParts(x, T, weight.subarray(row * C, (row + size) * C), bias && bias.subarray(row, row + size));
    const gain = w(`self_attn.${name}_norm.weight`);
    if (gain) rows = rmsNorm(rows, rows.length / D, gain, 1e-6);
    if (theta && name !== "v") rows = rotate(rows, T, D, before, theta);
    parts.push(rows);
    row += size;
  }
  const [q, ...own] = parts, [k, v] = cache ? cache.append(...own) : own;
  const mixed = yield* attend(q, k, v, T, heads, cache ? (t) => before + t + 1 : sees, { watch, kvHeads });
  return yield* inParts(mixed, T, w("self_attn.out_proj.weight"), w("self_attn.out_proj.bias"));
}

/** The network that is applied to every row by itself. */
function* feedForward(x, T, w, { activation }) {
  let hidden = yield* inParts(x, T, w("linear1.weight"), w("linear1.bias"));
  if (activation === "swiglu") { // the first half of every row are gates for the second
    const both = hidden, F = both.length / T / 2;
    hidden = new Float32Array(T * F);
    for (let t = 0, i = 0; t < T; t++) for (let g = 2 * t * F; g < (2 * t + 1) * F; g++) hidden[i++] = silu(both[g]) * both[g + F];
  } else {
    const f = ACTIVATIONS[activation];
    for (let i = 0; i < hidden.length; i++) hidden[i] = f(hidden[i]);
  }
  yield;
  return yield* inParts(hidden, T, w("linear2.weight"), w("linear2.bias"));
}

/** Either norm, whose parameters stand under `name`. */
export const normOf = (rows, T, w, name, { eps, rms = false }) =>
  (rms ? rmsNorm(rows, T, w(name + ".weight"), eps) : layerNorm(rows, T, w(name + ".weight"), w(name + ".bias"), eps));

/** A layer of lmcore.blocks.EncoderLayer. `how`: heads, norm ("pre" or "post"), rms (with RMSNorm), activation, eps, theta (base
    of rotary positions), kvHeads; for a causal layer sees, or a cache that the rows come after; watch as for attend. */
export function* encoderLayer(x, T, w, how) {
  for (const [sublayer, name] of [[selfAttention, "norm1"], [feedForward, "norm2"]]) {
    if (how.norm === "pre") x = add(x, yield* sublayer(normOf(x, T, w, name, how), T, w, how));
    else x = normOf(add(x, yield* sublayer(x, T, w, how)), T, w, name, how);
    yield;
  }
  return x;
}

/** Layers one after the other, "layers.0." and so on under `prefix`; `own(n)` is how layer n differs from the others. */
export function* stack(x, T, weights, prefix, layers, how, own = () => ({})) {
  for (let n = 0; n < layers; n++) x = yield* encoderLayer(x, T, part(weights, `${prefix}${n}.`), { ...how, ...own(n) });
  return x;
}

/** The rows of a table, one for each id. */
export function rows(table, ids, C) {
  const x = new Float32Array(ids.length * C);
  ids.forEach((id, t) => x.set(table.subarray(id * C, (id + 1) * C), t * C));
  return x;
}

/** From scores to probabilities. */
export function softmax(scores) {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity), p = Float64Array.from(scores, (z) => Math.exp(z - most));
  const total = p.reduce((a, b) => a + b, 0);
  return p.map((value) => value / total);
}
