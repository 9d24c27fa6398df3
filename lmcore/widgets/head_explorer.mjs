// Head explorer: the attention of every layer and head over a text; all heads as small pictures, one as lines and as a matrix.
import { breadth, crowded, linkView, weightView } from "./attention.mjs";
import { button, clamp, controls, facts, follow, frame, h, percent, select, svg, u16, write } from "./draw.mjs";

const PATTERNS = { previous: "the word before", next: "the word after", itself: "the word itself", first: "the first word", last: "the last word", spread: "many words" };
const TILE = 100; // units: the side of a small picture

/** The weights of one text, as rows of one head or of the mean over a layer's heads (head −1). */
function unpackText(flat, { T, layers, heads, levels }) {
  const at = (l, k, t, s) => flat[((l * heads + k) * T + t) * T + s] / levels;
  const known = new Map();
  return (l, k) => {
    const id = `${l} ${k}`;
    if (!known.has(id)) known.set(id, Array.from({ length: T }, (_, t) => Array.from({ length: T }, (_, s) => {
      if (k >= 0) return at(l, k, t, s);
      let sum = 0;
      for (let j = 0; j < heads; j++) sum += at(l, j, t, s);
      return sum / heads;
    })));
    return known.get(id);
  };
}

/** How much of its weight a head puts, on average over the words that have one, on the word before, after, …; `spread` is over how many words. */
function habits(rows) {
  const T = rows.length, mean = (f, from = 0, to = T) => { let sum = 0; for (let t = from; t < to; t++) sum += f(t); return to > from ? sum / (to - from) : 0; };
  return { previous: mean((t) => rows[t][t - 1], 1), next: mean((t) => rows[t][t + 1], 0, T - 1), itself: mean((t) => rows[t][t]),
    first: mean((t) => rows[t][0]), last: mean((t) => rows[t][T - 1]), spread: mean((t) => breadth(rows[t])) };
}

/** A head as one small picture: a square per weight, its area the weight. */
function tile(rows) {
  const T = rows.length, cell = TILE / T, seen = rows.flatMap((row, t) => row.flatMap((w, s) => {
    const edge = Math.sqrt(w) * cell;
    return w < 0.02 ? [] : [`M${((s + 0.5) * cell - edge / 2).toFixed(1)},${((t + 0.5) * cell - edge / 2).toFixed(1)}h${edge.toFixed(1)}v${edge.toFixed(1)}h${(-edge).toFixed(1)}Z`];
  }));
  return svg("svg", { viewBox: `0 0 ${TILE} ${TILE}`, "aria-hidden": "true" }, svg("path", { class: "lmw-weight", d: seen.join("") }));
}

function render({ model, el }) {
  const texts = model.get("texts"), layers = model.get("layers"), heads = model.get("heads"), levels = model.get("levels"), flat = u16(model.get("weights"));
  const { body, say } = frame(model, el, "heads", "Head explorer", "look through the small pictures for a head with a habit. Then choose a word whose meaning depends on others: which head finds them?");
  let start = 0;
  const attention = texts.map((words) => { const size = layers * heads * words.length ** 2, from = start; start += size; return unpackText(flat.subarray(from, start), { T: words.length, layers, heads, levels }); });
  const shownTexts = texts.map((words) => ({ from: words, to: words, headings: ["Word that looks", "Words looked at"] }));
  const textNow = () => clamp(model.get("text"), 0, texts.length - 1), layerNow = () => clamp(model.get("layer"), 0, layers - 1), headNow = () => clamp(model.get("head"), -1, heads - 1);
  const wordNow = () => clamp(model.get("word"), 0, texts[textNow()].length - 1);
  const columns = [...Array(heads).keys(), ...(heads > 1 ? [-1] : [])]; // the mean of all heads stands last
  const nameOf = (l, k) => (k < 0 ? `layer ${l + 1}, mean of all heads` : `layer ${l + 1}, head ${k + 1}`);
  let peeked = null;
  const choose = (t) => { peeked = null; write(model, { word: clamp(t, 0, texts[textNow()].length - 1) }); };
  const peek = (t) => { if (t === peeked) return; peeked = t; draw(); };
  const goTo = (l, k) => write(model, { layer: clamp(l, 0, layers - 1), head: clamp(k, -1, heads - 1) });

  const pickText = select("Text", texts.map((words) => `${words.slice(0, 7).join(" ")}${words.length > 7 ? " …" : ""}`), (i) => { peeked = null; write(model, { text: i, word: Math.min(wordNow(), texts[i].length - 1) }); });
  const pickLayer = select("Layer", Array.from({ length: layers }, (_, l) => `${l + 1}`), (l) => goTo(l, headNow()));
  const pickHead = select("Head", columns.map((k) => (k < 0 ? "mean of all" : `${k + 1}`)), (i) => goTo(layerNow(), columns[i]));
  const finders = Object.entries(PATTERNS).map(([id, text]) => button(text, () => {
    let top = -1, where = [0, 0];
    for (let l = 0; l < layers; l++) for (let k = 0; k < heads; k++) { const score = habitsOf(l, k)[id]; if (score > top) { top = score; where = [l, k]; } }
    goTo(...where);
  }, { "data-find": id }));
  const find = h("div", { class: "lmw-controls lmw-find", role: "group", "aria-label": "Find the head that looks most at" }, h("span", { "aria-hidden": "true" }, "Find the head that looks most at"), finders);

  const wall = h("div", { class: "lmw-wall", style: { "--lm-columns": columns.length } });
  const scroller = h("div", { class: "lmw-scroller", tabindex: 0, role: "group", "aria-label": "All heads, a row for each layer. Arrow keys go from head to head." }, wall);
  scroller.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    goTo(layerNow() + way[0], columns[clamp(columns.indexOf(headNow()) + way[1], 0, columns.length - 1)]);
  });
  const links = linkView({ label: "Words of the text", choose, peek }), matrix = weightView({ label: "Matrix of weights, a row for each word that looks. Arrow keys go from row to row.", choose, peek });
  const title = h("p", { class: "lmw-caption" }), numbers = h("div", { class: "lmw-facts lmw-six" });
  const pictures = h("div", { class: "lmw-halves lmw-attention" }, links.node, matrix.node);
  body.append(controls(pickText.node, pickLayer.node, pickHead.node), h("div", {}, h("p", { class: "lmw-caption" }, "All heads: rows look, columns are looked at, the area of a square is the weight"), scroller), find,
    title, pictures, h("div", {}, h("p", { class: "lmw-caption" }, "This head's weight, mean over all words of the text"), numbers));

  // ---- what is computed once per text ----
  const known = new Map();
  function habitsOf(l, k) {
    const id = `${textNow()} ${l} ${k}`;
    if (!known.has(id)) known.set(id, habits(attention[textNow()](l, k)));
    return known.get(id);
  }
  let drawn = -1, tiles = new Map();
  function drawWall() {
    if (drawn === textNow()) return;
    drawn = textNow();
    tiles = new Map();
    wall.replaceChildren(h("span", { class: "lmw-corner" }, "layer"), ...columns.map((k) => h("span", { class: "lmw-column" }, k < 0 ? "mean" : `${k + 1}`)), ...Array.from({ length: layers }, (_, l) => [
      h("span", { class: "lmw-line" }, `${l + 1}`),
      ...columns.map((k) => {
        const it = button("", () => goTo(l, k), { class: "lmw-tile", tabindex: -1, title: nameOf(l, k), "aria-label": nameOf(l, k) });
        it.append(tile(attention[drawn](l, k)));
        tiles.set(`${l} ${k}`, it);
        return it;
      })]).flat());
  }

  function reveal(it) { // scroll the chosen picture into view, without moving the page
    const low = it.offsetLeft - 40, high = it.offsetLeft + it.offsetWidth + 8 - scroller.clientWidth;
    scroller.scrollLeft = Math.min(low, Math.max(high, scroller.scrollLeft));
  }

  function draw() {
    drawWall();
    const i = textNow(), words = texts[i], l = layerNow(), k = headNow(), chosen = wordNow(), shown = peeked === null || peeked >= words.length ? chosen : peeked, rows = attention[i](l, k);
    pickText.input.selectedIndex = i;
    pickLayer.input.selectedIndex = l;
    pickHead.input.selectedIndex = columns.indexOf(k);
    for (const [id, it] of tiles) if (id === `${l} ${k}`) it.setAttribute("aria-current", "true"); else it.removeAttribute("aria-current");
    reveal(tiles.get(`${l} ${k}`));
    const here = nameOf(l, k), data = { text: shownTexts[i], weights: rows, shown, chosen };
    title.textContent = here[0].toUpperCase() + here.slice(1);
    pictures.classList.toggle("lmw-stacked", crowded(data.text));
    links.show(data);
    matrix.show({ ...data, name: `${here}: ${words.length} words look, in rows, at the same ${words.length} words, in columns.` });
    const found = habitsOf(l, k);
    numbers.replaceChildren(...facts(Object.fromEntries(Object.entries(PATTERNS).map(([id, text]) => [id, id === "spread" ? ["spread as if evenly over so many", found.spread.toFixed(1), found.spread] : [`on ${text}`, percent(found[id]), found[id]]]))));
    if (shown !== chosen) return;
    const row = rows[chosen], order = row.map((_, s) => s).sort((a, b) => row[b] - row[a]).slice(0, 3).filter((s, n) => n === 0 || row[s] >= 0.05);
    say(`${here[0].toUpperCase() + here.slice(1)}: word ${chosen + 1} of ${words.length}, “${words[chosen]}”, looks most at ${order.map((s) => `“${words[s]}”${s === chosen ? " (itself," : " ("}${s === chosen ? " " : ""}${percent(row[s])})`).join(", ")}. `
      + `Its weight is spread as if evenly over ${breadth(row).toFixed(1)} words.`);
  }
  const done = follow(model, ["text", "layer", "head", "word"], draw);
  return () => { done(); matrix.close(); };
}

export default { render };
