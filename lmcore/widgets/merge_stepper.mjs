// Merge stepper: trains byte-pair encoding on the reader's text and shows one merge at a time.
import { bar, button, clamp, controls, facts, follow, frame, h, radios, slider, uid, write } from "./draw.mjs";
import { readable, train } from "./bpe.mjs";

const LEVELS = ["characters", "bytes"];
const TOP_PAIRS = 8;

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "merges", "Merge stepper",
    "press Next merge and watch which pair wins; then type a tongue-twister of your own.");
  const first = model.get("text");
  let trained, of = ""; // the training belongs to one text and level

  const textId = uid("text");
  const text = h("textarea", { id: textId, rows: 2, maxlength: model.get("limit"), spellcheck: "false",
    oninput: () => { stop(); write(model, { text: text.value, step: 0 }); } });
  const pickLevel = radios("Start from", LEVELS, (i) => { stop(); write(model, { level: LEVELS[i], step: 0 }); });
  const last = () => trained.states.length - 1;
  const stepNow = () => clamp(model.get("step"), 0, last());
  const goTo = (step) => write(model, { step: clamp(step, 0, last()) });
  const place = slider("Merges done", (step) => { stop(); goTo(step); });
  const back = button("◀ Back", () => { stop(); goTo(stepNow() - 1); });
  const next = button("Next merge ▶", () => { stop(); goTo(stepNow() + 1); }, { class: "lmw-primary" });
  const play = button("Play", () => (timer ? stop() : start()));
  const reset = button("Start again", () => { stop(); goTo(0); });
  const restore = button("Bring back the first text", () => { stop(); write(model, { text: first, step: 0 }); });

  let timer = 0;
  function start() {
    if (stepNow() === last()) goTo(0);
    timer = setInterval(() => { if (!el.isConnected || stepNow() === last()) stop(); else goTo(stepNow() + 1); }, 900);
    play.textContent = "Pause";
  }
  function stop() { clearInterval(timer); timer = 0; play.textContent = "Play"; }

  const corpus = h("div", { class: "lmw-corpus", role: "group", tabindex: 0, "aria-label": "The text, cut into tokens" });
  const numbers = h("div", { class: "lmw-facts lmw-row" });
  const pairRows = h("tbody");
  const pairTable = h("table", { class: "lmw-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Pair"), h("td", {}), h("th", { scope: "col" }, "Count"))), pairRows);
  const pairNote = h("p", { class: "lmw-note" });
  const vocabulary = h("div", { class: "lmw-vocabulary", role: "group", tabindex: 0, "aria-label": "Vocabulary" });
  const vocabularyTitle = h("p", { class: "lmw-caption" });
  body.append(h("div", { class: "lmw-field" }, h("label", { for: textId }, "Your text"), text),
    controls(pickLevel.node, restore), controls(back, next, play, reset, place.node), numbers,
    h("p", { class: "lmw-caption" }, "The text, cut into tokens"), corpus,
    h("div", { class: "lmw-columns lmw-halves" },
      h("div", {}, h("p", { class: "lmw-caption" }, "Neighbours that occur most often"), pairTable, pairNote),
      h("div", {}, vocabularyTitle, vocabulary)));

  const shown = (token) => readable(token, model.get("level"));
  const token = (symbol, fresh) => h("span", { class: "lmw-piece" + (symbol === fresh ? " lmw-fresh" : ""), "data-token": symbol }, shown(symbol));

  function drawCorpus({ words, merged }) {
    const fresh = merged && merged.a + merged.b;
    corpus.replaceChildren(...trained.order.flatMap((w) => [h("span", { class: "lmw-word" }, words[w].map((symbol) => token(symbol, fresh))), " "]));
    if (!trained.order.length) corpus.textContent = "Type a few words above.";
  }

  function drawPairs({ pairs }) {
    const most = pairs[0]?.count ?? 1, wins = stepNow() < last();
    pairRows.replaceChildren(...pairs.slice(0, TOP_PAIRS).map(({ a, b, count }, i) =>
      h("tr", { class: wins && i === 0 ? "lmw-came" : "", "data-a": a, "data-b": b, "data-count": count },
        h("th", { scope: "row" }, token(a), " + ", token(b), wins && i === 0 ? h("span", { class: "lmw-flag" }, " ◀ next") : null),
        h("td", { class: "lmw-bars" }, bar("model", count / most)), h("td", { class: "lmw-number" }, count))));
    const hidden = pairs.length - TOP_PAIRS;
    pairNote.textContent = !pairs.length ? "No pairs are left."
      : (hidden > 0 ? `and ${hidden} more. ` : "") + (wins && pairs[1]?.count === most ? "A tie: the pair whose left token is older in the vocabulary wins, then the one whose right token is." : "");
  }

  function drawVocabulary({ made, merged, words }) {
    const { alphabet } = trained, used = model.get("level") === "bytes" ? new Set(trained.states[0].words.flat()) : null;
    vocabularyTitle.textContent = `Vocabulary: ${alphabet.length} ${model.get("level")} + ${made.length} merged`;
    const first = used ? alphabet.filter((symbol) => used.has(symbol)) : alphabet;
    vocabulary.replaceChildren(...[...made].reverse().concat(first).flatMap((symbol) => [token(symbol, merged && merged.a + merged.b), " "]),
      used && used.size < 256 ? `and ${256 - used.size} bytes that this text does not use` : "");
  }

  const done = follow(model, ["text", "level", "step", "merges", "min_count"], () => {
    const given = ["text", "level", "merges", "min_count"].map((name) => model.get(name)), key = JSON.stringify(given);
    if (key !== of) { of = key; trained = train(...given); }
    const step = stepNow(), state = trained.states[step], ratio = trained.characters ? state.tokens / trained.characters : 0;
    if (text.value !== model.get("text")) text.value = model.get("text");
    pickLevel.show(LEVELS.indexOf(model.get("level")));
    place.input.max = last();
    place.input.value = step;
    place.input.setAttribute("aria-valuetext", `${step} of ${last()} merges`);
    restore.hidden = model.get("text") === first;
    back.disabled = reset.disabled = step === 0;
    next.disabled = step === last();
    drawCorpus(state);
    drawPairs(state);
    drawVocabulary(state);
    numbers.replaceChildren(...facts({
      step: ["Merges", `${step} of ${last()}`],
      tokens: ["Tokens in the text", state.tokens],
      vocabulary: ["Vocabulary", trained.alphabet.length + state.made.length],
      ratio: ["Tokens per character", ratio.toFixed(3), ratio],
    }));
    const { merged } = state, upcoming = step < last() ? state.pairs[0] : null;
    say((merged ? `Merge ${step} joined “${shown(merged.a)}” and “${shown(merged.b)}”, which stood together ${merged.count} times. ` : `No merge yet: every token is one ${model.get("level") === "bytes" ? "byte" : "character"}. `)
      + `The text has ${state.tokens} tokens. `
      + (upcoming ? `Next: “${shown(upcoming.a)}” and “${shown(upcoming.b)}”, ${upcoming.count} times.`
        : state.pairs[0]?.count >= model.get("min_count") ? "The figure stops here." : `No pair occurs ${model.get("min_count") === 2 ? "twice" : "often enough"}, so there is nothing left to merge.`));
  });
  box.addEventListener("keydown", (event) => {
    if (event.target.closest("textarea, input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight") { stop(); goTo(stepNow() + 1); } else if (event.key === "ArrowLeft") { stop(); goTo(stepNow() - 1); }
  });
  return () => { stop(); done(); };
}

export default { render };
