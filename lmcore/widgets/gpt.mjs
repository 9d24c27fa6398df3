// A GPT in the page: lmcore/gpt on the parts of engine.mjs. Figures do not call this file; they use the runner of runner.mjs,
// which has the same interface for every kind of model:
//
//   const runner = await openRunner(model, "weights0", (loaded, all) => …);   // or through modelChooser of page_models.mjs
//   runner.tokenizer.encode(text) / .decode(ids) / .extend(text, ids) / .spell(id)     runner.room, .end, .never, .kind
//   await inSlices(runner.begin(ids), givenUp)   // reads a prompt; → logits of the next token, Float32Array of V
//   await inSlices(runner.step(id), givenUp)     // reads one token more; both are generators, `whole` runs them at once
//   runner.ids, runner.logits                    // what was read (⟨start⟩ included), and the logits after it
//   runner.copy()                                // goes on by itself; costs nothing: one for every hypothesis of a beam
//   runner.begin(ids, { look: true }), runner.looked[layer][head][s]    // where the last token looks; null for recurrent models
//   runner.begin(ids, { fresh: true }), runner.work   // without the cache; how many tokens the last call computed
//
// Logits go on to sampling.mjs: filtered(logits, options), softmax, drawn, likeliest, randomNumbers.
import { LayerCache, linear, normOf, part, rows, stack } from "./engine.mjs";

/** The network of a runner, with every choice of lmcore.gpt.GPTConfig: `state` is a cache per layer; `read` a generator of
    { state, logits, looked }; `back` is the state after fewer tokens. */
export function gptNet({ config, weights }) {
  const { dim, heads, layers, eps, activation, norm, positions, theta, kv_heads: kvHeads, head_dim: D } = config, w = part(weights, "");
  const how = { heads, eps, activation, norm: "pre", rms: norm === "rms", theta: positions === "rotary" ? theta : null, kvHeads: kvHeads ?? heads };
  const width = how.kvHeads * (D ?? dim / heads), learned = w("positions.weight"); // numbers that a token adds to a cache
  return {
    start: () => Array.from({ length: layers }, () => new LayerCache()),
    back: (state, length) => state.map((cache) => cache.copy(length * width)),
    * read(before, ids, look) {
      const T = ids.length, past = before[0].length / width * dim, state = before.map((cache) => cache.copy()), looked = look ? before.map(() => []) : null;
      const own = (n) => ({ cache: state[n], watch: look ? (head, t, seen) => { if (t === T - 1) looked[n][head] = seen; } : null });
      let x = rows(w("embedding.weight"), ids, dim);
      if (learned) x = x.map((value, i) => value + learned[past + i]);
      x = yield* stack(x, T, weights, "layers.", layers, how, own);
      const last = normOf(x.subarray((T - 1) * dim), 1, w, "norm", how);
      yield;
      return { state, looked, logits: linear(last, 1, w("head.weight") ?? w("embedding.weight")) };
    },
  };
}
