// Beam search as a tree, computed by the model in the page: at every step each open hypothesis is extended by one token.
import { facts, follow, frame, h, radios, svg, write } from "./draw.mjs";
import { inSlices, softmax } from "./engine.mjs";
import { modelChooser } from "./page_models.mjs";
import { playback } from "./playback.mjs";
import { promptBox } from "./prompts.mjs";
import { filtered, ranked } from "./sampling.mjs";

const COLUMN = 118, WIDE = 92, ROW = 44, TALL = 34, TOP = 30, LETTERS = 11; // pixels; letters of a token that find room
const inBits = (nats) => -nats / Math.LN2;
const bitsText = (nats) => `${inBits(nats).toFixed(2)}`;
const cut = (word) => { const letters = Array.from(word); return letters.length > LETTERS ? `${letters.slice(0, LETTERS - 1).join("")}…` : word; };

/** The levels of the search, a generator: branches { id, log, parent, kept, ended, ids }, as lmcore/widgets/beam_tree.py has them. */
function* beamLevels(runner, begin, width, steps) {
  const levels = [];
  yield* runner.begin(begin);
  let open = [{ place: 0, branch: { log: 0, ids: [] }, reader: runner.copy() }], complete = 0;
  while (levels.length < steps && open.length && complete < width) {
    const found = [];
    for (const { place, branch, reader } of open) {
      const p = softmax(filtered(reader.logits, { never: runner.never }));
      for (const id of ranked(p).slice(0, 2 * width)) if (p[id] > 0) found.push({ id, log: branch.log + Math.log(p[id]), parent: place, reader, ids: [...branch.ids, id] });
      yield;
    }
    found.sort((a, b) => b.log - a.log);
    const room = width - complete, level = found.slice(0, room + width).map(({ reader, ...branch }, i) => ({ ...branch, kept: i < room, ended: branch.id === runner.end }));
    levels.push(level);
    open = [];
    for (const [place, branch] of level.entries()) {
      if (!branch.kept) continue;
      if (branch.ended) { complete++; continue; }
      const reader = found[place].reader.copy();
      if (levels.length < steps) yield* reader.step(branch.id);
      open.push({ place, branch, reader });
    }
  }
  return levels;
}

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "beam", "Beam search as a tree", "set the beam to 1, then to 3, and follow the best hypothesis back to its beginning. Was it the best at every step?");
  const widest = model.get("widest"), stepsMost = model.get("steps");
  const prompt = promptBox(model, { reset: { step: stepsMost } });
  const models = modelChooser(model, box, { redraw: draw, choose: prompt.choose });
  const wide = radios("Width of the beam, B", Array.from({ length: widest }, (_, i) => String(i + 1)), (i) => write(model, { width: i + 1, step: stepsMost }));
  let levels = [], greedy = [], key = "", run = 0, runner = null;
  const player = playback(model, el, { last: () => levels.length || stepsMost, label: "Tokens added" });
  const picture = svg("svg", { class: "lmw-chart lmw-tree", "aria-hidden": "true" }), scroller = h("div", { class: "lmw-scroller lmw-tree-box", tabindex: 0, role: "group", "aria-label": "The tree; the same hypotheses stand in the table below" }, picture);
  const table = h("div", { class: "lmw-answer" }), numbers = h("div", { class: "lmw-facts lmw-row" });
  body.append(...models.nodes, ...prompt.nodes, wide.node, player.node,
    h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" }, h("span", {}, h("i", { class: "lmw-key lmw-key-kept" }), "kept"), h("span", {}, h("i", { class: "lmw-key lmw-key-best" }), "the best and its way"), h("span", {}, h("i", { class: "lmw-key lmw-key-fell" }), "fell"), h("span", {}, h("i", { class: "lmw-key lmw-key-ended" }), "complete")),
    scroller, h("p", { class: "lmw-note" }, "In each box: the token, and −log₂ of the probability of all tokens up to it, in bits. The fewer bits, the more probable. A column is a step; the line divides those that stay from the best of those that fall."), table, numbers);

  /** What the first n steps have found: complete hypotheses, then open ones; each with its place in the tree. */
  function found(n) {
    const all = levels.slice(0, n).flatMap((level, l) => level.map((branch, i) => ({ ...branch, level: l, place: i })));
    const done = all.filter((branch) => branch.kept && branch.ended).sort((a, b) => b.log - a.log);
    return [...done, ...all.filter((branch) => branch.kept && !branch.ended && branch.level === n - 1)];
  }
  /** The hypothesis with the highest probability so far, complete or not. */
  const best = (list) => list.reduce((a, b) => (b.log > a.log ? b : a));
  const words = (ids) => { const end = ids.at(-1) === runner.end; return runner.tokenizer.extend("", end ? ids.slice(0, -1) : ids).trim() + (end ? " ⟨end⟩" : ""); };

  function drawTree(n) {
    const shown = levels.slice(0, n), most = Math.max(1, ...levels.map((level) => level.length)), list = found(n), way = new Set();
    if (list.length) for (let branch = best(list), l = branch.level, i = branch.place; l >= 0; i = levels[l][i].parent, l--) way.add(`${l} ${i}`);
    const width = 16 + COLUMN * (levels.length + 1), height = TOP + ROW * most + 8, x = (l) => 8 + COLUMN * (l + 1), y = (i) => TOP + ROW * i, marked = (l, i) => (way.has(`${l} ${i}`) ? " lmw-on-way" : "");
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.style.width = `${width}px`;
    picture.style.height = `${height}px`;
    const edges = shown.flatMap((level, l) => level.map((branch, i) => {
      const from = [x(l - 1) + WIDE, y(l ? branch.parent : 0) + TALL / 2], to = [x(l), y(i) + TALL / 2], bend = (to[0] - from[0]) / 2;
      return svg("path", { class: `lmw-branch${branch.kept ? "" : " lmw-branch-fell"}${marked(l, i)}`, d: `M${from}C${from[0] + bend},${from[1]} ${to[0] - bend},${to[1]} ${to}` });
    }));
    const node = (at, top, kind, word, bits, data = {}) => svg("g", { class: `lmw-node ${kind}`, transform: `translate(${at},${top})`, ...data }, svg("rect", { width: WIDE, height: TALL, rx: 5 }),
      svg("text", { x: WIDE / 2, y: 14, "text-anchor": "middle", class: "lmw-important" }, cut(word)), svg("text", { x: WIDE / 2, y: 28, "text-anchor": "middle" }, bits));
    const nodes = shown.flatMap((level, l) => level.map((branch, i) => node(x(l), y(i), `${branch.kept ? "lmw-node-kept" : "lmw-node-fell"}${branch.ended ? " lmw-node-ended" : ""}${marked(l, i)}`,
      branch.ended ? "⟨end⟩" : runner.tokenizer.spell(branch.id), bitsText(branch.log), { "data-level": l, "data-place": i, "data-ids": branch.ids.join(" "), "data-log": branch.log, "data-parent": branch.parent, "data-kept": String(branch.kept) })));
    const lines = shown.flatMap((level, l) => { const kept = level.filter((branch) => branch.kept).length; return kept < level.length ? [svg("path", { class: "lmw-cut", d: `M${x(l) - 6},${y(kept) - (ROW - TALL) / 2}H${x(l) + WIDE + 6}` })] : []; });
    const heads = shown.map((_, l) => svg("text", { x: x(l) + WIDE / 2, y: 16, "text-anchor": "middle" }, `step ${l + 1}`));
    const last = runner.tokenizer.pieces(model.get("prompt")).flatMap(({ ids }) => ids).at(-1);
    picture.replaceChildren(...edges, ...lines, ...heads, node(x(-1), y(0), "lmw-node-root lmw-on-way", last === undefined ? "⟨start⟩" : `… ${runner.tokenizer.spell(last)}`, "0 bits"), ...nodes);
  }
  function drawTable(n) {
    const list = found(n);
    const row = (name, ids, log, data) => h("tr", data, h("th", { scope: "row" }, name), h("td", { class: "lmw-hypothesis" }, words(ids)), h("td", { class: "lmw-number" }, bitsText(log)));
    const path = greedy.slice(0, n), plain = path.at(-1);
    table.replaceChildren(h("table", { class: "lmw-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Rank"), h("td", {}, "Hypothesis"), h("th", { scope: "col" }, "Bits"))),
      h("tbody", {}, list.map((branch, i) => row(`${i + 1}${branch.ended ? ", complete" : ""}`, branch.ids, branch.log, { "data-rank": i, "data-ids": branch.ids.join(" "), "data-log": branch.log })),
        plain ? row("greedy", plain.ids, plain.log, { class: "lmw-apart", "data-rank": "greedy", "data-ids": plain.ids.join(" "), "data-log": plain.log }) : [])));
  }

  async function compute() {
    const mine = ++run, given = prompt.read(runner, stepsMost), mineKey = key, width = model.get("width");
    const stopped = () => mine !== run;
    levels = [];
    greedy = [];
    for (const it of [picture, table, numbers]) it.replaceChildren();
    if (typeof given === "string") return say(given);
    const began = performance.now(), tree = await inSlices(beamLevels(runner, given, width, stepsMost), stopped);
    if (tree === null || stopped()) return;
    const time = performance.now() - began, alone = await inSlices(beamLevels(runner, given, 1, stepsMost), stopped);
    if (alone === null || stopped()) return;
    levels = tree;
    greedy = alone.map((level) => level[0]);
    numbers.replaceChildren(...facts({ read: ["tokens read by the model", given.length + levels.slice(0, -1).reduce((sum, level) => sum + level.filter((b) => b.kept && !b.ended).length, 0)], time: ["in your browser in", `${time.toFixed(0)} ms`] }));
    box.dataset.drawn = mineKey;
    drawStep();
  }
  function drawStep() {
    player.draw();
    if (!levels.length) return;
    const n = Math.min(model.get("step"), levels.length);
    drawTree(n);
    drawTable(n);
    box.dataset.step = n;
    if (!n) return say("Nothing is added yet: one hypothesis, the prompt.");
    const first = best(found(n)), plain = greedy[Math.min(n, greedy.length) - 1];
    say(`After ${n} ${n === 1 ? "step" : "steps"} with B = ${model.get("width")}, the most probable is “${words(first.ids)}” with ${bitsText(first.log)} bits. Greedily: “${words(plain.ids)}” with ${bitsText(plain.log)} bits.`);
  }
  /** Move the tree so far that the step that is shown is in sight, with the one before it. */
  function reveal() {
    const n = Math.min(model.get("step"), levels.length), left = COLUMN * Math.max(0, n - 1), right = 16 + COLUMN * (n + 1);
    scroller.scrollLeft = Math.min(left, Math.max(scroller.scrollLeft, right - scroller.clientWidth));
  }
  function draw() {
    prompt.draw();
    wide.show(model.get("width") - 1);
    player.draw();
    const wanted = JSON.stringify([model.get("chosen"), model.get("prompt"), model.get("width")]);
    if (!models.runner) { run++; key = ""; runner = null; return; }
    if (runner === models.runner && wanted === key) { drawStep(); return reveal(); }
    runner = models.runner;
    key = wanted;
    compute().catch((error) => { console.error(error); say(`The model could not compute: ${error.message}.`); });
  }
  const done = follow(model, ["chosen", "prompt", "width", "step"], draw);
  return () => { done(); player.stop(); models.close(); run++; };
}

export default { render };
