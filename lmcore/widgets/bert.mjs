// BERT's masked language model in the page: lmcore/bert/model.py and the head of lmcore/bert/heads.py on the parts of engine.mjs.
import { gelu, layerNorm, linear, part, rows, stack } from "./engine.mjs";

/** The encoder's vectors of a text, a row for each id; every token looks at every other. */
export function* bertStates({ config, weights }, ids) {
  const T = ids.length, { dim, heads, layers, eps } = config, w = part(weights, "bert."), position = w("positions.weight"), first = w("segments.weight");
  const x = rows(w("tokens.weight"), ids, dim).map((value, i) => value + position[i] + first[i % dim]); // all in the first segment
  return yield* stack(layerNorm(x, T, w("norm.weight"), w("norm.bias"), eps), T, weights, "bert.layers.", layers, { heads, eps, norm: "post", activation: "gelu" });
}

/** The scores of all words of the vocabulary at each of these places. */
export function* maskedScores(net, ids, places) {
  const states = yield* bertStates(net, ids), { dim, eps } = net.config, w = part(net.weights, "mlm."), found = [];
  for (const place of places) {
    const hidden = linear(states.subarray(place * dim, (place + 1) * dim), 1, w("dense.weight"), w("dense.bias")).map(gelu);
    yield;
    found.push(linear(layerNorm(hidden, 1, w("norm.weight"), w("norm.bias"), eps), 1, part(net.weights, "bert.")("tokens.weight"), w("bias")));
    yield;
  }
  return found;
}
