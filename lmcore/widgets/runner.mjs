// A model that reads tokens in the page and says what may come next. The comment at the top of gpt.mjs shows its use.
import { modelOf } from "./engine.mjs";
import { gptNet } from "./gpt.mjs";
import { recurrentNet } from "./recurrent_model.mjs";
import { makeTokenizer } from "./tokenizers.mjs";

const NETS = { gpt: gptNet, rnn: recurrentNet, lstm: recurrentNet, gru: recurrentNet };

/** The runner of the model in a figure's trait: at hand in JupyterLab, loaded first on a built page; progress(loaded, all) is
    told in bytes. */
export const openRunner = async (model, trait, progress) => Runner.of(await modelOf(model, trait, progress));

export class Runner {
  static of(file) {
    const { tokenizer, start, end, never, kind, room } = file.config;
    return new Runner({ net: NETS[kind](file), tokenizer: makeTokenizer(tokenizer), kind, room: room ?? Infinity, start, end, never, sizes: file.config });
  }

  /** `fixed` is what copies share: the net, the tokenizer, `room` (the most tokens it can read), `start` (ids that every text
      begins with), `end` (the id that ends one, or null), `never` (ids that may not come), `sizes` (the model file's config). */
  constructor(fixed) {
    Object.assign(this, fixed, { fixed, ids: [], logits: null, looked: null, work: 0, state: fixed.net.start() });
  }

  /** Another that has read the same, and goes on by itself. */
  copy() {
    const { ids, logits, looked, work, state } = this;
    return Object.assign(new Runner(this.fixed), { ids, logits, looked, work, state });
  }

  /** Read `ids` and nothing before them. What an earlier call has read at the beginning is not computed again, unless `fresh`. */
  * begin(ids, { look = false, fresh = false } = {}) {
    if (!ids.length) throw new Error("there is nothing to read");
    let same = 0;
    while (!fresh && same < ids.length - 1 && ids[same] === this.ids[same]) same++;
    return yield* this.go(same ? this.net.back(this.state, same) : this.net.start(), ids, same, look);
  }

  /** Read one token more. */
  * step(id, { look = false } = {}) {
    return yield* this.go(this.state, [...this.ids, id], this.ids.length, look);
  }

  /** From the state after the first `known` of the ids to all of them. A run that is given up changes nothing. */
  * go(state, ids, known, look) {
    if (ids.length > this.room) throw new Error(`the text has ${ids.length} tokens, and this model reads at most ${this.room}`);
    const found = yield* this.net.read(state, ids.slice(known), look);
    Object.assign(this, found, { ids, work: ids.length - known });
    return this.logits;
  }
}
