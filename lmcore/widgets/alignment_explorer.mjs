// Alignment explorer: where a translation looks while it writes a word, as lines and as a matrix, beside the true alignment.
import { best, breadth, crowded, linkView, rowsOf, weightView } from "./attention.mjs";
import { button, clamp, controls, f32, facts, follow, frame, h, percent, select, write } from "./draw.mjs";

/** How many pairs of links [i, j] cross: i before k, but j after l. */
const crossings = (links) => links.reduce((sum, [i, j]) => sum + links.filter(([k, l]) => i < k && j > l).length, 0);

/** Everything the figure says about one example: its weights by rows, where each target word looks most, what the true alignment says. */
function study({ source, target, gold }, weights) {
  const tops = weights.map(best), links = tops.map((s, t) => [s, t]);
  const trueOf = target.map((_, t) => (gold ?? []).filter(([, j]) => j === t).map(([i]) => i)), aligned = target.map((_, t) => t).filter((t) => trueOf[t].length);
  const onTruth = weights.map((row, t) => trueOf[t].reduce((sum, s) => sum + row[s], 0));
  return { source, target, gold, weights, tops, trueOf, aligned, onTruth, crossed: crossings(links), trulyCrossed: gold && crossings(gold),
    hits: aligned.filter((t) => trueOf[t].includes(tops[t])).length };
}

function render({ model, el }) {
  const examples = model.get("examples"), flat = f32(model.get("weights")), [[from, fromCode], [into, intoCode]] = model.get("languages");
  const { body, say } = frame(model, el, "alignment", "Alignment explorer",
    `go through the ${into} words and guess, before you look, which ${from} words each one needs. Where must the lines cross?`);
  let start = 0;
  const studies = examples.map((example) => {
    const size = example.source.length * example.target.length;
    start += size;
    return study(example, rowsOf(flat.slice(start - size, start), example.source.length));
  });
  const texts = examples.map(({ source, target }) => ({ from: target, to: source, languages: [intoCode, fromCode], headings: [`${into}, written`, `${from}, looked at`] }));
  const exampleNow = () => clamp(model.get("example"), 0, examples.length - 1), wordNow = () => clamp(model.get("word"), 0, examples[exampleNow()].target.length - 1);
  const choose = (t) => { peeked = null; write(model, { word: clamp(t, 0, examples[exampleNow()].target.length - 1) }); };
  let peeked = null;
  const peek = (t) => { if (t === peeked) return; peeked = t; draw(); };

  const pick = select("Sentence", examples.map(({ source, note }) => `${note ? `${note}: ` : ""}${source.slice(0, 7).join(" ")}${source.length > 7 ? " …" : ""}`),
    (i) => { peeked = null; write(model, { example: i, word: Math.min(wordNow(), examples[i].target.length - 1) }); });
  const back = button("◀ Back", () => choose(wordNow() - 1)), next = button("Next word ▶", () => choose(wordNow() + 1), { class: "lmw-primary" });
  const links = linkView({ label: `${into} words`, choose, peek }), matrix = weightView({ label: `Matrix of weights, a row for each ${into} word. Arrow keys go from row to row.`, choose, peek });
  const numbers = h("div", { class: "lmw-facts lmw-lab-facts" });
  const key = h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" }, h("span", {}, h("i", { class: "lmw-key-weight" }), "weight: the area of the square, the width of the line"));
  const goldKey = h("span", {}, h("i", { class: "lmw-key-gold" }), "true alignment");
  key.append(goldKey);
  const pictures = h("div", { class: "lmw-halves lmw-attention" }, links.node, matrix.node);
  body.append(controls(pick.node, back, next), pictures, key, numbers);

  const quoted = (words) => words.map((word) => `“${word}”`).join(" and ");
  function draw() {
    const e = exampleNow(), chosen = wordNow(), found = studies[e], shown = peeked === null || peeked >= found.target.length ? chosen : peeked, row = found.weights[shown];
    pick.input.selectedIndex = e;
    back.disabled = chosen === 0;
    next.disabled = chosen === found.target.length - 1;
    goldKey.hidden = !found.gold;
    const data = { text: texts[e], weights: found.weights, shown, chosen, gold: found.gold };
    pictures.classList.toggle("lmw-stacked", crowded(data.text));
    links.show(data);
    matrix.show({ ...data, name: `${found.target.length} ${into} words in rows, ${found.source.length} ${from} words in columns; ${found.crossed} crossings between the lines of the largest weights.` });
    const over = breadth(row), truth = found.trueOf[shown];
    numbers.replaceChildren(...facts({
      top: [`“${found.target[shown]}” looks most at`, `${found.source[found.tops[shown]]}, ${percent(row[found.tops[shown]])}`, row[found.tops[shown]]],
      breadth: ["As if spread evenly over", over < 1.05 ? "1 word" : `${over.toFixed(1)} words`, over],
      ...(found.gold && { truth: ["Weight on the true alignment", truth.length ? percent(found.onTruth[shown]) : "none is given", truth.length ? found.onTruth[shown] : ""],
        hits: ["Largest weight on it", `${found.hits} of ${found.aligned.length} words`, found.hits] }),
      crossings: ["Lines that cross", found.gold ? `${found.crossed} (truth: ${found.trulyCrossed})` : `${found.crossed}`, found.crossed],
    }));
    if (shown !== chosen) return; // what the mouse passes over is shown, not said
    const order = row.map((_, s) => s).filter((s) => row[s] >= 0.05).sort((a, b) => row[b] - row[a]).slice(0, 3);
    say(`${into} word ${chosen + 1} of ${found.target.length}, “${found.target[chosen]}”, looks at ${order.map((s) => `“${found.source[s]}” (${percent(row[s])})`).join(", ") || "no word in particular"}. `
      + (!found.gold ? "" : truth.length ? `The true alignment is ${quoted(truth.map((s) => found.source[s]))}. ` : "The true alignment gives it no word. ")
      + `In this sentence ${found.crossed === 1 ? "1 pair of lines crosses" : `${found.crossed} pairs of lines cross`}.`);
  }
  const done = follow(model, ["example", "word"], draw);
  return () => { done(); matrix.close(); };
}

export default { render };
