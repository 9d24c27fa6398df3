// Next-word explorer: looks up what Python computed for (story, position, model) and draws it.
import { arrowKeys, bar, bits, button, clamp, controls, f32, facts, follow, frame, h, legend, percent, radios, select, slider, u16, write } from "./draw.mjs";

const NO_WORD = 0xffff;
const surprise = (p) => -Math.log2(p) + 0; // + 0 turns -0 into 0

/** The numbers behind the figure, unpacked once. Grid point = model × all positions + position counted over all stories. */
function unpack(model) {
  const stories = model.get("stories"), end = model.get("end"), start = [];
  let places = 0;
  for (const story of stories) { start.push(places); places += story.length + 1; }
  const tables = {};
  for (const name of ["row_model", "row_truth", "came_model", "came_truth", "divergence"]) tables[name] = f32(model.get(name));
  return { ...tables, stories, start, places, end, words: model.get("words"), rows: model.get("rows"), row_word: u16(model.get("row_word")) };
}

/** Everything the figure says at one grid point. */
function reading(data, story, position, m) {
  const place = data.start[story] + position, point = m * data.places + place, rows = [];
  for (let i = point * data.rows; i < (point + 1) * data.rows && data.row_word[i] !== NO_WORD; i++)
    rows.push({ word: data.words[data.row_word[i]], p: data.row_model[i], q: data.row_truth[i] });
  const p = data.came_model[point], q = data.came_truth[place];
  return { rows, came: data.stories[story][position] ?? data.end, p, q, model: surprise(p), truth: surprise(q), kl: data.divergence[point] };
}

const visible = (word, end) => (word === end ? "(end)" : word);

function render({ model, el }) {
  const data = unpack(model), names = model.get("models"), sees = model.get("sees");
  const { body, say } = frame(model, el, "nextword", "Next-word explorer",
    "click a word of the story, then go from the first model to the last and watch the two bars meet.");

  const storyLength = () => data.stories[storyNow()].length;
  const storyNow = () => clamp(model.get("story"), 0, data.stories.length - 1);
  const positionNow = () => clamp(model.get("position"), 0, storyLength());
  const modelNow = () => Math.max(0, names.indexOf(model.get("model")));
  const goTo = (position) => write(model, { position: clamp(position, 0, storyLength()) });

  const pickStory = select("Story", data.stories.map((s, i) => `${i + 1}. ${s.slice(0, 6).join(" ")} …`),
    (i) => write(model, { story: i, position: clamp(model.get("position"), 0, data.stories[i].length) }));
  const pickModel = names.length <= 6
    ? radios("Model", names, (i) => write(model, { model: names[i] }))
    : select("Model", names, (i) => write(model, { model: names[i] }));
  const place = slider("Place in the story", goTo);
  const back = button("◀ Back", () => goTo(positionNow() - 1)), next = button("Next ▶", () => goTo(positionNow() + 1));
  const worst = button("Widest gap", () => {
    const s = storyNow(), m = modelNow();
    let best = 0;
    for (let i = 1; i <= storyLength(); i++) if (reading(data, s, i, m).kl > reading(data, s, best, m).kl) best = i;
    goTo(best);
  }, { title: "Go to the place where this model is furthest from the truth" });

  const text = h("div", { class: "lmw-tokens", role: "group", "aria-label": "The story; choose the word to predict" });
  const scope = h("p", { class: "lmw-note" });
  const strip = h("div", { class: "lmw-strip", role: "img" });
  const stripScale = h("span", { class: "lmw-scale", "aria-hidden": "true" });
  const stripNote = h("p", { class: "lmw-note" });
  const tableBody = h("tbody");
  const table = h("table", { class: "lmw-table lmw-words" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Next word"), h("td", {}), h("th", { scope: "col" }, "Model"), h("th", { scope: "col" }, "Truth"))), tableBody);
  const numbers = h("div", { class: "lmw-facts" });
  body.append(controls(pickStory.node, pickModel.node), text, scope, controls(back, next, place.node, worst),
    legend({ model: "model", truth: "truth" }), h("div", { class: "lmw-columns" }, h("div", {}, table), numbers),
    h("p", { class: "lmw-caption" }, "Surprise at every word of the story, in bits"), h("div", { class: "lmw-plot" }, stripScale, strip), stripNote);
  arrowKeys(text, (step) => { goTo(positionNow() + step); focusWhenDrawn = true; });

  let tokens = [], drawnStory = -1, focusWhenDrawn = false;
  function drawStory(s) {
    tokens = [...data.stories[s], data.end].map((word, i) => button(visible(word, data.end), () => goTo(i), { class: "lmw-token" }));
    text.replaceChildren(...tokens.flatMap((token) => [token, " "]));
    drawnStory = s;
  }

  function drawStrip(s, m) {
    const length = data.stories[s].length + 1, all = [];
    for (let k = 0; k < names.length; k++) for (let i = 0; i < length; i++) {
      const r = reading(data, s, i, k);
      all.push(r.model, r.truth);
    }
    const highest = Math.max(1, ...all.filter(Number.isFinite)), share = (x) => Math.min(1, x / highest);
    let sumModel = 0, sumTruth = 0;
    strip.replaceChildren(...tokens.map((_, i) => {
      const r = reading(data, s, i, m);
      sumModel += r.model; sumTruth += r.truth;
      return h("i", { class: "lmw-step" + (i === positionNow() ? " lmw-here" : ""), "data-model": r.model, "data-truth": r.truth,
        title: `${visible(r.came, data.end)}: model ${bits(r.model)}, truth ${bits(r.truth)} bits`, onclick: () => goTo(i) },
      h("i", { class: "lmw-fill-model" + (r.model === Infinity ? " lmw-infinite" : ""), style: { height: `${100 * share(r.model)}%` } }),
      h("i", { class: "lmw-fill-truth", style: { height: `${100 * share(r.truth)}%` } }));
    }));
    stripScale.textContent = `${highest.toFixed(0)} bits`;
    stripNote.textContent = `Over this story: model ${bits(sumModel / length)} bits a word, truth ${bits(sumTruth / length)}.`;
    strip.setAttribute("aria-label", stripNote.textContent);
  }

  function drawTable(r) {
    const longest = Math.max(...r.rows.map((row) => Math.max(row.p, row.q)), 1e-12);
    tableBody.replaceChildren(...r.rows.map(({ word, p, q }) => h("tr", { class: word === r.came ? "lmw-came" : "", "data-word": word, "data-p": p, "data-q": q },
      h("th", { scope: "row" }, visible(word, data.end), word === r.came ? h("span", { class: "lmw-flag" }, " ◀ came") : null),
      h("td", { class: "lmw-bars" }, bar("model", p / longest), bar("truth", q / longest)),
      h("td", { class: "lmw-number" }, percent(p)), h("td", { class: "lmw-number" }, percent(q)))));
  }

  function drawFacts(r) {
    numbers.replaceChildren(...facts({
      model: ["Surprise of the model", `${bits(r.model)} bits`, r.model],
      truth: ["Surprise of the truth", `${bits(r.truth)} bits`, r.truth],
      kl: ["Gap to the truth, KL(truth‖model)", `${bits(r.kl)} bits`, r.kl],
    }));
  }

  return follow(model, ["story", "position", "model"], () => {
    const s = storyNow(), i = positionNow(), m = modelNow(), r = reading(data, s, i, m);
    if (s !== drawnStory) drawStory(s);
    pickStory.input.selectedIndex = s;
    if (pickModel.show) pickModel.show(m); else pickModel.input.selectedIndex = m;
    place.input.max = storyLength();
    place.input.value = i;
    place.input.setAttribute("aria-valuetext", `word ${i + 1} of ${storyLength() + 1}: ${visible(r.came, data.end)}`);
    back.disabled = i === 0;
    next.disabled = i === storyLength();
    const from = sees[m] < 0 ? 0 : Math.max(0, i - sees[m]);
    tokens.forEach((token, j) => {
      token.className = "lmw-token" + (j === i ? " lmw-now" : j > i ? " lmw-future" : j >= from ? " lmw-seen" : " lmw-forgotten");
      token.tabIndex = j === i ? 0 : -1; // one tab stop; the arrow keys move inside
      if (j === i) token.setAttribute("aria-current", "true"); else token.removeAttribute("aria-current");
    });
    const seen = i - from;
    scope.textContent = i === 0 ? "Nothing comes before the first word." : `${names[m]} sees ${seen === 0 ? "none of the words" : seen < i ? `only the ${seen} underlined word${seen > 1 ? "s" : ""}` : "all the words"} before the one in the box.`;
    if (focusWhenDrawn) { focusWhenDrawn = false; tokens[i].focus(); }
    drawTable(r);
    drawFacts(r);
    drawStrip(s, m);
    const before = data.stories[s].slice(Math.max(0, i - 4), i).join(" ");
    const where = i === 0 ? "At the start of the story" : `After “${i > 4 ? "… " : ""}${before}”`;
    say(`${where} came ${r.came === data.end ? "the end" : `“${r.came}”`}. ${names[m]} gave it ${percent(r.p)} (${bits(r.model)} bits of surprise), `
      + `the truth ${percent(r.q)} (${bits(r.truth)} bits). Gap to the truth: ${bits(r.kl)} bits${r.kl === Infinity ? ", because the model rules out a word that can come" : ""}.`);
  });
}

export default { render };
