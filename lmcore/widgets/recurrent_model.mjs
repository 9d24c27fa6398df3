// A recurrent language model in the page: lmcore/recurrent.py's RecurrentLM on the parts of engine.mjs, with any number of
// layers of RNN, LSTM or GRU. (recurrent.mjs shows the inside of one small layer; this one is for speed.)
import { linear, part, rows } from "./engine.mjs";

const logistic = (z) => 1 / (1 + Math.exp(-z));
const rise = (z) => Math.max(0, z);

// From what the input and the state before add to the gates (torch's order, side by side), and the state, to the next state.
const CELLS = {
  rnn: (a, b, { h }, { nonlinearity }) => ({ h: h.map((_, k) => (nonlinearity === "relu" ? rise : Math.tanh)(a[k] + b[k])) }),
  lstm(a, b, { h, c }) {
    const H = h.length, gate = (g, k) => a[g * H + k] + b[g * H + k];
    const held = c.map((old, k) => logistic(gate(1, k)) * old + logistic(gate(0, k)) * Math.tanh(gate(2, k)));
    return { h: held.map((value, k) => logistic(gate(3, k)) * Math.tanh(value)), c: held };
  },
  gru(a, b, { h }) { // r acts on the state's share of the candidate, its bias included
    const H = h.length;
    return { h: h.map((old, k) => {
      const r = logistic(a[k] + b[k]), z = logistic(a[H + k] + b[H + k]);
      return (1 - z) * Math.tanh(a[2 * H + k] + r * b[2 * H + k]) + z * old;
    }) };
  },
};

/** The network of a runner. A state knows the state before it, so that `back` finds the one after fewer tokens. */
export function recurrentNet({ config, weights }) {
  const { kind, dim, hidden, layers } = config, w = part(weights, ""), step = CELLS[kind];
  const zero = () => new Float32Array(hidden);
  return {
    start: () => ({ before: null, length: 0, layers: Array.from({ length: layers }, () => ({ h: zero(), c: zero() })) }),
    back(state, length) {
      while (state.length > length) state = state.before;
      return state;
    },
    * read(state, ids) {
      for (const id of ids) {
        let x = rows(w("embedding.weight"), [id], dim);
        const next = { before: state, length: state.length + 1, layers: [] };
        for (const [n, old] of state.layers.entries()) {
          const a = linear(x, 1, w(`rnn.weight_ih_l${n}`), w(`rnn.bias_ih_l${n}`)), b = linear(old.h, 1, w(`rnn.weight_hh_l${n}`), w(`rnn.bias_hh_l${n}`));
          next.layers.push(step(a, b, old, config));
          x = next.layers[n].h;
          yield;
        }
        state = next;
      }
      return { state, looked: null, logits: linear(state.layers.at(-1).h, 1, w("output.weight"), w("output.bias")) };
    },
  };
}
