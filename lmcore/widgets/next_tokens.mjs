// Next tokens: runs the chosen model over the reader's text and shows what it expects next, and where its last token looks.
import { bar, button, clamp, controls, facts, follow, frame, h, percent, select, svg, uid, write } from "./draw.mjs";
import { inSlices, softmax } from "./engine.mjs";
import { idsOf, modelChooser } from "./page_models.mjs";
import { filtered, ranked } from "./sampling.mjs";

const TILE = 100; // units: the side of a small picture
const times = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/** A head as one small picture: a bar for every token, as tall as its weight. */
function headPicture(weights) {
  const wide = TILE / weights.length, bars = Array.from(weights, (w, s) => (w < 0.01 ? "" : `M${(s * wide).toFixed(2)},${TILE}v${(-w * TILE).toFixed(1)}h${wide.toFixed(2)}V${TILE}Z`));
  return svg("svg", { viewBox: `0 0 ${TILE} ${TILE}`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { class: "lmw-weight", d: bars.join("") }));
}

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "next", "Next tokens", "type a text and read what the model expects. Take a token, then another. Which head looks at the word that matters?");
  const texts = model.get("texts"), top = model.get("top"), textsNow = () => texts[model.get("chosen")];
  const models = modelChooser(model, box, { redraw: draw, choose: (i) => { // an example of the one is none of the other
    const text = model.get("text"), stay = texts[i].includes(text) || !textsNow().includes(text);
    write(model, { chosen: i, taken: [], layer: 0, head: -1, ...(stay ? {} : { text: texts[i][0] }) });
  } });
  const id = uid("text");
  const own = h("textarea", { id, rows: 2, maxlength: model.get("limit"), spellcheck: "false", oninput: () => write(model, { text: own.value, taken: [] }) });
  const pick = select("Example", [], (i) => { if (i < textsNow().length) write(model, { text: textsNow()[i], taken: [] }); });
  const take = (token) => write(model, { taken: [...model.get("taken"), token] });
  const likely = button("Take the likeliest", () => take(shown[0])), back = button("Take back", () => write(model, { taken: model.get("taken").slice(0, -1) }));
  const reading = h("p", { class: "lmw-reads", role: "group", "aria-label": "The text as the model reads it" }), looks = h("p", { class: "lmw-note" });
  const answer = h("div", { class: "lmw-answer" }), numbers = h("div", { class: "lmw-facts lmw-row" });
  const wall = h("div", { class: "lmw-wall" }), scroller = h("div", { class: "lmw-scroller", tabindex: 0, role: "group", "aria-label": "All heads, a row for each layer. Arrow keys go from head to head." }, wall);
  const heads = h("div", {}, h("p", { class: "lmw-caption" }, "All heads: where the last token looks, a bar for every token of the text"), scroller);
  body.append(...models.nodes, ...(texts.some((list) => list.length > 1) ? [pick.node] : []), h("div", { class: "lmw-field" }, h("label", { for: id }, "Your text"), own), controls(likely, back),
    h("div", {}, h("p", { class: "lmw-caption" }, "As the model reads it"), reading, looks), answer, numbers, heads);

  // ---- the table: its rows stay, so that a key can be pressed again and again ----
  let shown = []; // the tokens of the table
  const lines = times(top, (n) => {
    const it = button("", () => take(shown[n]), { class: "lmw-link", title: "Take this token" }), share = h("td", { class: "lmw-bars" }), number = h("td", { class: "lmw-number" });
    return { it, share, number, row: h("tr", {}, h("th", { scope: "row" }, it), share, number) };
  });
  const rest = h("p", { class: "lmw-note" });
  answer.append(h("table", { class: "lmw-table lmw-words" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Next token"), h("td", {}), h("th", { scope: "col" }, "Probability"))), h("tbody", {}, lines.map(({ row }) => row))), rest);

  function drawTable(p, { tokenizer, end }) {
    const order = ranked(p).slice(0, top), most = p[order[0]];
    shown = order;
    lines.forEach(({ it, share, number, row }, n) => {
      row.hidden = n >= order.length;
      if (row.hidden) return;
      const word = tokenizer.spell(order[n]);
      row.dataset.token = tokenizer.vocabulary[order[n]];
      row.dataset.p = p[order[n]];
      it.textContent = order[n] === end ? `${word} (the text ends)` : word;
      it.setAttribute("aria-label", `${word}: take it`);
      share.replaceChildren(bar("model", p[order[n]] / most));
      number.textContent = percent(p[order[n]]);
    });
    const left = 1 - order.reduce((sum, i) => sum + p[i], 0);
    rest.textContent = `All other tokens together: ${percent(Math.max(0, left))}.`;
  }

  // ---- attention ----
  const nameOf = (l, k) => (k < 0 ? `layer ${l + 1}, mean of all heads` : `layer ${l + 1}, head ${k + 1}`);
  const mean = (layer) => layer[0].map((_, s) => layer.reduce((sum, weights) => sum + weights[s], 0) / layer.length);
  let looked = null; // of the text that is shown: [layer][head][token], null for a recurrent model
  const columns = () => [...looked[0].keys(), ...(looked[0].length > 1 ? [-1] : [])]; // the mean stands last
  const weightsOf = (l, k) => (k < 0 ? mean(looked[l]) : looked[l][k]);
  const here = () => [clamp(model.get("layer"), 0, looked.length - 1), looked[0].length > 1 ? clamp(model.get("head"), -1, looked[0].length - 1) : 0];
  const goTo = (l, k) => write(model, { layer: clamp(l, 0, looked.length - 1), head: k });
  scroller.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!way || !looked || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [l, k] = here(), all = columns();
    goTo(l + way[0], all[clamp(all.indexOf(k) + way[1], 0, all.length - 1)]);
  });

  function drawWall() {
    const all = columns();
    wall.style.setProperty("--lm-columns", all.length);
    wall.replaceChildren(h("span", { class: "lmw-corner" }, "layer"), ...all.map((k) => h("span", { class: "lmw-column" }, k < 0 ? "mean" : `${k + 1}`)), ...looked.flatMap((_, l) => [
      h("span", { class: "lmw-line" }, `${l + 1}`),
      ...all.map((k) => {
        const it = button("", () => goTo(l, k), { class: "lmw-tile", tabindex: -1, title: nameOf(l, k), "aria-label": nameOf(l, k), "data-place": `${l} ${k}` });
        it.append(headPicture(weightsOf(l, k)));
        return it;
      })]));
  }

  /** The tokens that were read; under each, how much the last of them looks at it. */
  function drawReading({ tokenizer, ids }) {
    const [l, k] = looked ? here() : [], weights = looked ? weightsOf(l, k) : null, most = weights ? weights.reduce((a, b) => Math.max(a, b)) : 1;
    const typed = ids.length - model.get("taken").length;
    reading.replaceChildren(...ids.flatMap((token, s) => [h("span", { class: `lmw-read${s >= typed ? " lmw-taken" : ""}${tokenizer.special.has(token) ? " lmw-special" : ""}`, "data-token": token, "data-weight": weights?.[s] },
      weights ? h("span", { class: "lmw-look", "aria-hidden": "true" }, h("i", { style: { height: `${100 * weights[s] / most}%` } })) : null,
      h("span", { class: "lmw-read-text" }, tokenizer.spell(token)), weights ? h("span", { class: "lmw-number" }, weights[s] < 0.01 ? "" : percent(weights[s])) : null), " "]));
    heads.hidden = !looked;
    if (!looked) return void (looks.textContent = "This model has no attention. What it knows of the text is in its state alone.");
    for (const it of wall.querySelectorAll(".lmw-tile")) if (it.dataset.place === `${l} ${k}`) it.setAttribute("aria-current", "true"); else it.removeAttribute("aria-current");
    const name = nameOf(l, k), order = ranked(weights).slice(0, 3).filter((s, n) => !n || weights[s] >= 0.05);
    looks.textContent = `${name[0].toUpperCase()}${name.slice(1)}: the last token looks most at ${order.map((s) => `“${tokenizer.spell(ids[s])}”${s === ids.length - 1 ? ", itself" : ""} (${percent(weights[s])})`).join(", ")}.`;
  }

  // ---- from the text to the answer ----
  let run = 0, drawn = null; // what stands there: { key, tokenizer, ids }
  const key = () => JSON.stringify([model.get("chosen"), model.get("text"), model.get("taken")]);
  function refuse(sentence) {
    shown = [];
    drawn = null;
    for (const it of [answer, heads]) it.hidden = true;
    for (const it of [reading, numbers]) it.replaceChildren();
    looks.textContent = "";
    likely.disabled = true;
    say(sentence);
  }

  async function compute(runner) {
    const mine = ++run, began = performance.now(), { tokenizer } = runner, taken = model.get("taken"), read = idsOf(runner, model.get("text"));
    if (typeof read === "string") return refuse(read);
    const ids = [...read, ...taken];
    if (taken.length && taken.at(-1) === runner.end) return refuse("The model has ended the text. Take the end back to go on.");
    if (ids.length > runner.room) return refuse(`The text has ${ids.length} tokens. This model reads at most ${runner.room}; shorten the text.`);
    const logits = await inSlices(runner.begin(ids, { look: true }), () => mine !== run);
    if (logits === null || mine !== run) return; // the text has changed meanwhile
    const p = softmax(filtered(logits, { never: runner.never })), spread = 2 ** p.reduce((sum, x) => sum - (x > 0 ? x * Math.log2(x) : 0), 0);
    looked = runner.looked;
    for (const it of [answer, heads]) it.hidden = false;
    likely.disabled = false;
    drawTable(p, runner);
    if (looked) drawWall(); else wall.replaceChildren();
    drawReading(drawn = { key: key(), tokenizer, ids });
    numbers.replaceChildren(...facts({ tokens: ["tokens read", ids.length], work: ["of them computed anew", runner.work], spread: ["as unsure as among so many equal tokens", spread.toFixed(1), spread], time: ["in your browser in", `${(performance.now() - began).toFixed(0)} ms`] }));
    answer.dataset.key = drawn.key;
    say(`${models.label}: most likely next ${shown.slice(0, 3).map((i) => `“${tokenizer.spell(i)}” (${percent(p[i])})`).join(", ")}.`);
  }

  let asked = null, listed = -1;
  function draw() {
    const { runner } = models, text = model.get("text"), taken = model.get("taken"), chosen = model.get("chosen");
    if (listed !== chosen) {
      pick.input.replaceChildren(...textsNow().map((example, i) => h("option", {}, `${i + 1}. ${example || "(the beginning of a text)"}`)), h("option", { hidden: true }, "(your own text)"));
      listed = chosen;
    }
    const example = taken.length ? -1 : textsNow().indexOf(text);
    pick.input.selectedIndex = example < 0 ? textsNow().length : example;
    back.disabled = !taken.length;
    const whole = runner && taken.length ? runner.tokenizer.extend(text, taken) : text;
    if (own.value !== whole) own.value = whole;
    if (!runner) {
      run++;
      asked = null;
      return refuse("");
    }
    if (asked === key()) return void (drawn?.key === asked && drawReading(drawn)); // only another head
    asked = key();
    compute(runner).catch((error) => { console.error(error); refuse(`The model could not compute: ${error.message}.`); });
  }
  const done = follow(model, ["chosen", "text", "taken", "layer", "head"], draw);
  return () => { done(); models.close(); run++; };
}

export default { render };
