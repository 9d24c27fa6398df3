// Fill in the blank: runs a BERT over the reader's text and shows which words it expects where one is left out.
import { maskedScores } from "./bert.mjs";
import { bar, button, controls, facts, follow, frame, h, percent, select, uid, write } from "./draw.mjs";
import { inSlices, modelOf, softmax } from "./engine.mjs";
import { modelLoader } from "./model_loader.mjs";
import { wordPiece } from "./wordpiece.mjs";

const MASK = "[MASK]", BLANK = /_+|\[mask\]/gi;

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "fill", "Fill in the blank", "leave another word out, or change a word far from the blank. Which words does the model need to know what is missing?");
  const texts = model.get("texts"), room = model.get("room"), top = model.get("top"), vocabulary = model.get("vocabulary");
  const tokenizer = wordPiece({ vocabulary, special: model.get("special"), lower: model.get("lower"), longest: model.get("longest") });
  const id = uid("text"), hintId = uid("hint");
  const own = h("textarea", { id, rows: 2, maxlength: model.get("limit"), spellcheck: "false", "aria-describedby": hintId, oninput: () => write(model, { text: own.value }) });
  const pick = texts.length > 1 ? select("Example", texts.map((text, i) => `${i + 1}. ${text}`), (i) => write(model, { text: texts[i] })) : null;
  const blank = button("Insert a blank", () => {
    own.setRangeText("___", own.selectionStart, own.selectionEnd, "end");
    own.focus();
    write(model, { text: own.value });
  });
  const reading = h("p", { class: "lmw-reading", role: "group", "aria-label": "The text as the model reads it" }), strange = h("p", { class: "lmw-note" });
  const loader = modelLoader(model, box, { redraw: draw, open: (_, progress) => modelOf(model, "weights", progress) });
  const answers = h("div", { class: "lmw-answers" }), numbers = h("div", { class: "lmw-facts lmw-row" });
  body.append(...[pick?.node ?? []].flat(), h("div", { class: "lmw-field" }, h("label", { for: id }, "Your text"), own),
    controls(blank, h("span", { class: "lmw-note", id: hintId }, "___ or [MASK] stands for a missing word.")),
    h("div", {}, h("p", { class: "lmw-caption" }, "As the model reads it"), reading, strange), ...loader.nodes, answers, numbers);

  // ---- the text ----
  /** Its words with their pieces and, between [CLS] and [SEP], its ids and the places of the blanks. */
  function read(text) {
    const words = tokenizer.words(text.replace(BLANK, ` ${MASK} `)), at = (token) => tokenizer.number.get(token);
    const ids = [at("[CLS]"), ...words.flatMap((word) => word.ids), at("[SEP]")];
    return { words, ids, places: ids.flatMap((token, t) => (token === at(MASK) ? [t] : [])) };
  }

  function drawReading({ words }) {
    const mask = tokenizer.number.get(MASK), unknown = tokenizer.number.get("[UNK]");
    let blanks = 0, odd = 0;
    reading.replaceChildren(...words.flatMap(({ word, ids }) => {
      if (ids[0] === mask) return [h("span", { class: "lmw-word lmw-now", "data-word": MASK }, `blank ${++blanks}`), " "];
      const known = ids.length === 1 && ids[0] !== unknown;
      if (!known) odd++;
      return [h("span", { class: known ? "lmw-word" : "lmw-word lmw-strange", "data-word": word, "data-ids": ids.join(" ") },
        known || ids[0] === unknown ? word : null, known ? null : [h("span", { class: "lmw-hidden" }, " unknown, read as "), ...ids.map((i) => h("span", { class: "lmw-piece" }, vocabulary[i]))]), " "];
    }));
    strange.textContent = odd ? `Dashed: ${odd === 1 ? "a word that is" : `${odd} words that are`} not in the model's vocabulary. It reads the pieces in boxes${words.some(({ ids }) => ids[0] === unknown) ? "; [UNK] stands for any word that it cannot spell" : ""}.` : "";
    strange.hidden = !odd;
  }

  // ---- the answers ----
  let run = 0;
  async function answer(text, { ids, places }) {
    const mine = ++run, began = performance.now();
    if (!places.length) return refuse("No word is missing. Write ___ in place of a word.");
    if (ids.length > room) return refuse(`The text has ${ids.length} tokens, [CLS] and [SEP] among them. This model reads at most ${room}; shorten the text.`);
    if (!loader.opened) return;
    const scores = await inSlices(maskedScores(loader.opened, ids, places), () => mine !== run);
    if (scores === null || mine !== run) return; // the text has changed meanwhile
    const found = scores.map((row) => {
      const p = softmax(row), order = Array.from(p.keys()).sort((a, b) => p[b] - p[a] || a - b).slice(0, top);
      return order.map((i) => ({ word: vocabulary[i], p: p[i] }));
    });
    drawAnswers(found);
    numbers.replaceChildren(...facts({ tokens: ["tokens read, with [CLS] and [SEP]", ids.length], time: ["computed in your browser in", `${(performance.now() - began).toFixed(0)} ms`] }));
    answers.dataset.text = text;
    say(found.map((words, n) => `${found.length > 1 ? `Blank ${n + 1} of ${found.length}` : "The blank"}: most likely ${words.slice(0, 3).map(({ word, p }) => `“${word}” (${percent(p)})`).join(", ")}.`).join(" "));
  }
  function refuse(sentence) {
    answers.replaceChildren();
    numbers.replaceChildren();
    answers.dataset.text = own.value;
    say(sentence);
  }

  function drawAnswers(found) {
    const most = Math.max(...found.flat().map(({ p }) => p));
    answers.replaceChildren(...found.map((words, n) => h("div", { class: "lmw-answer" },
      h("p", { class: "lmw-caption" }, found.length > 1 ? `Blank ${n + 1}` : "The missing word"),
      h("table", { class: "lmw-table lmw-words" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Word"), h("td", {}), h("th", { scope: "col" }, "Probability"))),
        h("tbody", {}, words.map(({ word, p }) => h("tr", { "data-word": word, "data-p": p },
          h("th", { scope: "row" }, button(word, () => put(n, word), { class: "lmw-link", title: "Put this word into the text", "aria-label": `${word}: put it into blank ${n + 1}` })),
          h("td", { class: "lmw-bars" }, bar("model", p / most)), h("td", { class: "lmw-number" }, percent(p)))))))));
  }
  /** Write a word into a blank, so that the other blanks can be seen to depend on it. */
  function put(n, word) {
    let count = 0;
    own.focus();
    write(model, { text: model.get("text").replace(BLANK, (found) => (count++ === n ? word.replace(/^##/, "") : found)) });
  }

  function draw() {
    const text = model.get("text"), parts = read(text);
    if (own.value !== text) own.value = text;
    if (pick) pick.input.selectedIndex = texts.indexOf(text);
    drawReading(parts);
    answer(text, parts).catch((error) => { console.error(error); refuse(`The model could not compute: ${error.message}.`); });
  }
  const done = follow(model, ["text"], draw);
  return () => { done(); loader.close(); run++; };
}

export default { render };
