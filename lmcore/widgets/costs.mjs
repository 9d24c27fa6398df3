// What a text of T tokens costs, by the formulas of lmcore.widgets.CostCurves. Sizes: dim, heads, layers, hidden, batch, training.

/** Operations in the matrix products. */
export function operations(model, T, { dim, layers, hidden, batch, training }) {
  const each = { RNN: 4 * dim ** 2, LSTM: 16 * dim ** 2, Transformer: 8 * dim ** 2 + 4 * dim * hidden + 4 * T * dim }[model];
  return batch * layers * T * each * (training ? 3 : 1);
}

/** The part of a Transformer's operations that grows with the square of T. */
export const square = (T, { dim, layers, batch, training }) => batch * layers * 4 * T ** 2 * dim * (training ? 3 : 1);

/** Bytes kept for the backward pass by what connects positions; "held" and "fused" are attention with and without its weights in memory. */
export function memory(kind, T, { dim, heads, layers, batch }) {
  const each = { RNN: 2 * T * dim + dim, LSTM: 8 * T * dim, held: 3 * T * dim + heads * T ** 2, fused: 4 * T * dim + heads * T }[kind];
  return 4 * batch * layers * each;
}

/** Bytes that a model keeps while it generates: keys and values of all tokens, or the state. */
export const carried = (model, T, { dim, layers, batch }) => 4 * batch * layers * { RNN: dim, LSTM: 2 * dim, Transformer: 2 * T * dim }[model];

/** Matrix products that have to wait for one another. */
export const waiting = (model, T, { layers, training }) => layers * (model === "Transformer" ? 6 : T + 1) * (training ? 2 : 1);

/** Seconds on a device of that speed (10⁹ operations a second) and delay (microseconds a product that waits). */
export const seconds = (model, T, sizes, speed, delay) => operations(model, T, sizes) / (speed * 1e9) + waiting(model, T, sizes) * delay * 1e-6;
