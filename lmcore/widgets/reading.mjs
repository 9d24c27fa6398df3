// What the reader of a figure does with a text: choose one, write one, go through it word by word, continue it with a predicted word.
import { bar, bits, button, clamp, h, percent, select, textbox, uid, write } from "./draw.mjs";

const UNITS = /[\p{L}\p{N}_]+(?:['’][\p{L}\p{N}_]+)*|[^\p{L}\p{N}_\s]/gu; // lmcore.tokenizer.WORD_PATTERN
const SUGGESTIONS = 5;

/** How many letters must be changed, added or left out to make b of a. */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length];
}

/** The figure's text: `words`, `step`, their numbers in the vocabulary, and the controls that change them. */
export function reading(model) {
  const vocabulary = model.get("vocabulary"), texts = model.get("texts"), limit = model.get("limit");
  const [start, end, unknown] = ["start", "end", "unknown"].map((name) => model.get(name)), never = model.get("never");
  const number = new Map(vocabulary.map((word, i) => [word, i]));
  for (const i of [...never, end]) number.delete(vocabulary[i]); // nobody writes these
  const spellable = [...number.keys()];

  const words = () => model.get("words"), stepNow = () => clamp(model.get("step"), 0, words().length);
  const ids = () => [start, ...words().map((word) => number.get(word) ?? unknown)];
  const shown = (i) => (i === end ? "(end)" : vocabulary[i]);
  const came = (n) => (n < words().length ? number.get(words()[n]) ?? unknown : end);
  const goTo = (n) => write(model, { step: clamp(n, 0, words().length) });

  const note = h("p", { class: "lmw-note lmw-warning", role: "alert" });
  /** A text in words of the vocabulary: what stands between spaces as it is, else cut at its punctuation. */
  const cut = (text) => text.split(/\s+/).filter((chunk) => chunk).flatMap((chunk) => (number.has(chunk) ? [chunk] : chunk.match(UNITS) ?? []));
  const nearest = (word) => {
    const small = word.toLowerCase(), score = (w) => (w.toLowerCase().startsWith(small) || small.startsWith(w.toLowerCase()) ? 0.5 : 0) - distance(small, w.toLowerCase());
    return spellable.map((w) => [score(w), w]).sort((a, b) => b[0] - a[0]).slice(0, SUGGESTIONS).map(([, w]) => w);
  };
  function read(text) {
    const found = cut(text), strange = found.find((word) => !number.has(word));
    note.textContent = "";
    if (found.length > limit) { note.textContent = `This text has ${found.length} words; the figure reads at most ${limit}.`; return; }
    if (strange !== undefined) {
      note.textContent = `“${strange}” is not among the ${spellable.length} words that the model knows. Close to it: ${nearest(strange).join(", ")}.`;
      if (unknown < 0) return;
      note.textContent += ` The model reads it as ${vocabulary[unknown]}.`;
    }
    write(model, { words: found, step: found.length });
  }

  const options = h("datalist", { id: uid("words") });
  const own = textbox("Your text", { list: options.id, oninput: () => complete() }, read);
  /** Words of the vocabulary that complete the one being typed. */
  function complete() {
    const [, before, last] = own.input.value.match(/^(.*?)(\S*)$/s);
    const fitting = last ? spellable.filter((word) => word.startsWith(last) && word !== last).slice(0, 8) : [];
    options.replaceChildren(...fitting.map((word) => h("option", { value: before + word })));
  }
  const same = (a, b) => a.length === b.length && a.every((word, i) => word === b[i]);
  const pick = select("Text", [...texts.map((text, i) => `${i + 1}. ${text.slice(0, 6).join(" ")}${text.length > 6 ? " …" : ""}`), "your own"],
    (i) => { note.textContent = ""; if (i < texts.length) write(model, { words: texts[i], step: Math.min(stepNow(), texts[i].length) }); else own.input.focus(); });
  own.node.classList.add("lmw-own");
  own.node.append(options);

  /** Brings the controls to what the traits say. */
  function follow() {
    const at = texts.findIndex((text) => same(text, words()));
    pick.input.selectedIndex = at < 0 ? texts.length : at;
    const spelt = words().join(" ");
    if (document.activeElement !== own.input || cut(own.input.value).join(" ") !== spelt) own.input.value = spelt;
  }
  /** Continues the text after the present step with a word. */
  const continueWith = (i) => { note.textContent = ""; write(model, { words: [...words().slice(0, stepNow()), vocabulary[i]], step: stepNow() + 1 }); };
  return { vocabulary, never, end, words, stepNow, ids, shown, came, goTo, read, follow, continueWith, limit, note, controls: [pick.node, own.node] };
}

/** The likeliest next words, and always the one that came; a click continues the text with a word. */
export function predictions(text, top) {
  const rows = h("tbody");
  const node = h("table", { class: "lmw-table lmw-words" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Next word"), h("td", {}), h("th", { scope: "col" }, "Probability"))), rows);
  function draw(p) {
    const came = text.came(text.stepNow()), order = [...p.keys()].filter((i) => p[i] > 0).sort((i, j) => p[j] - p[i] || i - j).slice(0, top);
    if (!order.includes(came)) order.push(came);
    const full = text.stepNow() >= text.limit;
    rows.replaceChildren(...order.map((i) => h("tr", { class: i === came ? "lmw-came" : "", "data-word": text.vocabulary[i], "data-p": p[i] },
      h("th", { scope: "row" }, i === text.end || full ? text.shown(i) : button(text.shown(i), () => text.continueWith(i), { class: "lmw-link", title: `Continue the text with “${text.shown(i)}”` }),
        i === came ? h("span", { class: "lmw-flag" }, " ◀ came") : null),
      h("td", { class: "lmw-bars" }, bar("model", p[i] / p[order[0]])), h("td", { class: "lmw-number" }, percent(p[i])))));
    return order[0];
  }
  return { node, draw };
}

/** Bits of surprise, as text and as a number. */
export const surprise = (p) => { const s = -Math.log2(p) + 0; return [`${bits(s)} bits`, s]; };
