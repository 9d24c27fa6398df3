// The prompt of a figure that continues a text: examples to choose from, a box for the reader's own words, and what the chosen
// model reads of it. The figure is a PromptFigure of prompts.py.
import { h, select, uid, write } from "./draw.mjs";
import { idsOf } from "./page_models.mjs";

/** `reset` are traits that change with the prompt, such as { step: 0 }. */
export function promptBox(model, { label = "Your prompt", reset = {} } = {}) {
  const prompts = model.get("prompts"), list = () => prompts[model.get("chosen")], id = uid("prompt");
  const set = (prompt) => write(model, { prompt, ...reset });
  const own = h("textarea", { id, rows: 2, maxlength: model.get("limit"), spellcheck: "false", oninput: () => set(own.value) });
  const pick = select("Prompt", [], (i) => set(list()[i])), more = prompts.some((texts) => texts.length > 1);
  let listed = -1;
  return {
    nodes: [...(more ? [pick.node] : []), h("div", { class: "lmw-field" }, h("label", { for: id }, label), own)],
    /** What happens when the reader chooses another model: a prompt that is an example for the one only makes way. */
    choose(i) {
      const text = model.get("prompt"), stays = prompts[i].includes(text) || !list().includes(text);
      write(model, { chosen: i, ...reset, ...(stays ? {} : { prompt: prompts[i][0] }) });
    },
    draw() {
      const text = model.get("prompt"), chosen = model.get("chosen"), n = list().indexOf(text);
      if (own.value !== text) own.value = text;
      if (listed !== chosen) pick.input.replaceChildren(...list().map((example, i) => h("option", {}, `${i + 1}. ${example.replace(/\s+/g, " ") || "(the beginning of a text)"}`)), h("option", { disabled: true }, "(your own)"));
      listed = chosen;
      pick.input.selectedIndex = n < 0 ? list().length : n;
    },
    /** The ids with which the runner begins, or a sentence that says why it cannot; `room` tokens are to follow. */
    read(runner, room = 1) {
      const ids = idsOf(runner, model.get("prompt"));
      if (typeof ids === "string") return ids;
      if (ids.length + room > runner.room) return `The prompt has ${ids.length} tokens. This model reads at most ${runner.room}, and ${room} are to follow; shorten the prompt.`;
      return ids;
    },
  };
}
