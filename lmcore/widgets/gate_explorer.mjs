// Gate explorer: the gates and the memory of an LSTM or a GRU over a text, one column per step, of one unit or as a mean.
import { arrowKeys, button, clamp, controls, facts, follow, frame, h, percent, radios, select, slider, svg, write } from "./draw.mjs";
import { predictions, reading, surprise } from "./reading.mjs";
import { held, kept, logits, probabilities, run, unpackModels } from "./recurrent.mjs";

const TALL = 132; // pixels: all units of one step
const ROWS = {
  lstm: [["forget", "forget gate f"], ["input", "input gate i"], ["output", "output gate o"], ["memory", "cell state c"]],
  gru: [["reset", "reset gate r"], ["update", "update gate z"], ["memory", "state h"]],
};
const KEEPER = { lstm: "forget", gru: "update" }; // the gate that keeps the memory when it is 1

const mean = (values, f = (x) => x) => values.reduce((sum, x) => sum + f(x), 0) / values.length;
/** Two decimals, without a leading zero where there is little room. */
const small = (x) => (Math.abs(x) < 0.005 ? "0" : Math.abs(x) < 0.995 ? x.toFixed(2).replace("0.", ".") : x.toFixed(1)).replace("-", "−");

function render({ model, el }) {
  const nets = unpackModels(model.get("models"), model.get("weights"), model.get("half")), names = nets.map(({ name }) => name);
  const net = () => nets[Math.max(0, names.indexOf(model.get("model")))], rowsOf = () => ROWS[net().cell];
  const unitNow = () => Math.min(model.get("unit"), net().hidden - 1);
  const { body, say } = frame(model, el, "gates", "Gate explorer",
    "go through the units and look for one that switches at a full stop, and for one that keeps a word to the end.");
  const text = reading(model), table = predictions(text, model.get("top"));

  const pickModel = radios("Model", names, (i) => write(model, { model: names[i], unit: Math.min(unitNow(), nets[i].hidden - 1), shown: Math.min(model.get("shown"), ROWS[nets[i].cell].length - 1) }));
  const pickUnit = slider("Unit", (k) => write(model, { unit: k - 1 }));
  const unitName = h("output", { class: "lmw-unit-name", for: pickUnit.input.id });
  pickUnit.node.firstChild.after(unitName);
  const best = (score) => { const scores = Array.from({ length: net().hidden }, (_, k) => score(k)); return scores.indexOf(Math.max(...scores)); };
  const keepGate = (k) => ran.steps.map((s) => s.gates[KEEPER[net().cell]][k]);
  const keeper = button("Best keeper", () => write(model, { unit: best((k) => mean(keepGate(k))) }), { title: "The unit that keeps most of its memory, on average over this text" });
  const switcher = button("Busiest switch", () => write(model, { unit: best((k) => { const gate = keepGate(k), m = mean(gate); return mean(gate, (x) => (x - m) ** 2); }) }),
    { title: "The unit whose keeping varies most over this text" });
  const all = button("Mean of all", () => write(model, { unit: -1 }));
  const pickShown = select("Every unit of the", [""], (i) => write(model, { shown: i }));
  const back = button("◀ Back", () => text.goTo(text.stepNow() - 1)), next = button("Next word ▶", () => text.goTo(text.stepNow() + 1), { class: "lmw-primary" });
  const place = slider("Step", text.goTo);

  const head = h("tr"), strips = h("tbody"), wall = h("tbody");
  const sheet = h("table", { class: "lmw-gatesheet" }, h("caption", { class: "lmw-hidden" }, "Gates and memory at every step"), h("thead", {}, head), strips, wall);
  const scroller = h("div", { class: "lmw-scroller", tabindex: 0, role: "group", "aria-label": "Gates and memory, one column per step. Arrow keys go from step to step." }, sheet);
  const note = h("p", { class: "lmw-note" }), numbers = h("div", { class: "lmw-facts" });
  body.append(controls(pickModel.node, ...text.controls), text.note, controls(back, next, place.node), scroller,
    controls(pickUnit.node, keeper, switcher, all, pickShown.node), note, h("div", { class: "lmw-columns" }, h("div", {}, table.node), numbers));
  arrowKeys(scroller, (by) => text.goTo(text.stepNow() + by));

  // ---- the model's numbers, once per model and text ----
  let ran, of = "", columns = [];
  function compute() {
    const key = JSON.stringify([net().name, text.words()]);
    if (key === of) return;
    of = key;
    const steps = run(net(), text.ids());
    ran = { steps, chances: steps.map((s) => probabilities(logits(net(), s), text.never)) };
  }
  const values = (id, s) => (id === "memory" ? held(net(), s) : s.gates[id]);
  /** A row at a step: the chosen unit's value, or the mean over all units (of a memory: the mean size). */
  const reads = (id, s, k) => (k >= 0 ? values(id, s)[k] : mean(values(id, s), id === "memory" ? Math.abs : undefined));
  function traces(n, k) {
    if (k >= 0) return kept(net(), ran.steps, n, k);
    const each = Array.from({ length: net().hidden }, (_, j) => kept(net(), ran.steps, n, j));
    return each[0].map((_, m) => mean(each, (shares) => Math.abs(shares[m])));
  }

  /** A value as a bar: a gate or a size grows from the floor; what has a sign from the middle, up if positive, down and hollow
      if negative. */
  function cell(value, largest, sided, extra) {
    if (value === undefined) return h("td", { class: "lmw-gate", ...extra });
    const fill = h("i", { class: value < 0 ? "lmw-minus" : "lmw-plus",
      style: { height: `${((sided ? 50 : 100) * Math.abs(value)) / largest}%`, [value < 0 ? "top" : "bottom"]: sided ? "50%" : "0" } });
    return h("td", { class: "lmw-gate" + (sided ? " lmw-sided" : ""), "data-value": value, ...extra }, h("div", { class: "lmw-well" }, fill), h("span", {}, small(value)));
  }

  /** All units of one quantity at one step, the first on top. */
  function tower(id, s, largest, k) {
    const H = net().hidden, line = TALL / H, sided = id === "memory", middle = sided ? 50 : 0;
    const picture = svg("svg", { viewBox: `0 0 100 ${TALL}`, preserveAspectRatio: "none", class: "lmw-tower" });
    if (k >= 0) picture.append(svg("rect", { class: "lmw-followed", x: 0, y: k * line, width: 100, height: line }));
    if (sided) picture.append(svg("path", { class: "lmw-middle", d: `M50,0V${TALL}`, "vector-effect": "non-scaling-stroke" }));
    picture.append(...[...values(id, s)].map((value, j) => {
      const length = ((sided ? 50 : 100) * Math.abs(value)) / largest;
      return svg("rect", { class: value < 0 ? "lmw-minus" : "lmw-plus", "data-value": value, "vector-effect": "non-scaling-stroke",
        x: value < 0 ? middle - length : middle, width: length, y: j * line + line * 0.12, height: line * 0.76 });
    }));
    return picture;
  }

  function drawSheet(n, k) {
    const rows = rowsOf(), whole = ran.steps.map((_, i) => i), largestOf = (list) => Math.max(1e-9, ...list.map(Math.abs));
    const mark = (i) => (i === n ? { "data-now": "" } : {});
    columns = whole.map((i) => {
      const word = i ? text.words()[i - 1] : "(start)";
      const token = button(word, () => text.goTo(i), { class: "lmw-token", tabindex: -1 });
      if (i === n) token.setAttribute("aria-current", "step");
      return h("th", { scope: "col", ...mark(i) }, token);
    });
    head.replaceChildren(h("td"), ...columns);
    const memory = whole.map((i) => reads("memory", ran.steps[i], k)), shares = traces(n, k);
    const line = (id, label, list, largest) => h("tr", { "data-row": id }, h("th", { scope: "row" }, label), list.map((value, i) => cell(value, largest, k >= 0 && (id === "memory" || id === "kept"), mark(i))));
    strips.replaceChildren(
      ...rows.map(([id, label]) => line(id, id === "memory" && k < 0 ? `size of ${label}` : label, whole.map((i) => reads(id, ran.steps[i], k)), id === "memory" ? largestOf(memory) : 1)),
      line("kept", h("span", {}, "still held", h("br"), k < 0 ? "(size)" : "from here"), whole.map((i) => shares[i]), largestOf([...shares])));
    drawWall(n, k);
    return shares;
  }

  /** Every unit of one quantity at every step; drawn again only when it shows something else. */
  let wallOf = "";
  function drawWall(n, k) {
    const rows = rowsOf(), [id, label] = rows[Math.min(model.get("shown"), rows.length - 1)], key = `${of} ${k} ${id}`;
    if (key !== wallOf) {
      wallOf = key;
      const largest = id === "memory" ? Math.max(1e-9, ...ran.steps.flatMap((s) => [...values(id, s)].map(Math.abs))) : 1;
      wall.replaceChildren(h("tr", { "data-row": "units", "data-of": id }, h("th", { scope: "row" }, "every unit:", h("br"), label), ran.steps.map((s, i) =>
        h("td", { onclick: (event) => {
          const area = event.currentTarget.querySelector("svg").getBoundingClientRect(), j = Math.floor(((event.clientY - area.top) / area.height) * net().hidden);
          write(model, { unit: clamp(j, 0, net().hidden - 1), step: i });
        } }, tower(id, s, largest, k)))));
    }
    wall.querySelectorAll("td").forEach((cell, i) => cell.toggleAttribute("data-now", i === n));
  }

  function show(n) { // scroll the present column into view, without moving the page
    const here = columns[n], room = scroller.clientWidth, label = head.firstChild.offsetWidth;
    if (here.offsetLeft < scroller.scrollLeft + label || here.offsetLeft + here.offsetWidth > scroller.scrollLeft + room)
      scroller.scrollLeft = here.offsetLeft - label - (room - label - here.offsetWidth) / 2;
  }

  return follow(model, ["words", "step", "model", "unit", "shown"], () => {
    compute();
    text.follow();
    const n = text.stepNow(), last = text.words().length, k = unitNow(), s = ran.steps[n], p = ran.chances[n], came = text.came(n), rows = rowsOf();
    const who = k < 0 ? "mean of all" : `${k + 1} of ${net().hidden}`;
    pickModel.show(names.indexOf(net().name));
    pickUnit.input.max = net().hidden;
    pickUnit.input.value = k + 1;
    pickUnit.input.setAttribute("aria-valuetext", who);
    unitName.textContent = who;
    pickShown.input.replaceChildren(...rows.map(([, label]) => h("option", {}, label)));
    pickShown.input.selectedIndex = Math.min(model.get("shown"), rows.length - 1);
    place.input.max = last;
    place.input.value = n;
    place.input.setAttribute("aria-valuetext", `${n} of ${last}: ${n ? text.words()[n - 1] : "start"}`);
    back.disabled = n === 0;
    next.disabled = n === last;
    all.disabled = k < 0;
    const shares = drawSheet(n, k), total = shares.reduce((sum, x) => sum + Math.abs(x), 0);
    show(n);
    const oldest = shares.findIndex((x) => Math.abs(x) >= 0.1 * total), reach = n - oldest;
    note.textContent = `A full bar of a gate is 1 (open), an empty one 0 (shut). “Still held” splits the ${net().cell === "lstm" ? "cell state" : "state"} after step ${n} by the step that wrote it`
      + (k < 0 ? "; memories are shown by their mean size, without sign." : ": up and filled is positive, down and hollow negative, and the bars add up to it.");
    const best = table.draw(p), [shown, exact] = surprise(p[came]);
    numbers.replaceChildren(...facts({
      reach: ["Looks back", reach === 1 ? "1 step" : `${reach} steps`, reach],
      came: ["Surprise at what came", shown, exact],
    }));
    const keep = reads(KEEPER[net().cell], s, k), wrote = (i) => (i ? `“${text.words()[i - 1]}”` : "the start");
    say(`At step ${n}, ${n ? `“${text.words()[n - 1]}”` : "the start"}, ${k < 0 ? `the units of ${net().name} keep on average` : `unit ${k + 1} of ${net().name} keeps`} ${percent(keep)} of the memory before. `
      + `The oldest step that still makes up a tenth of it is ${wrote(oldest)}. The likeliest next word is ${best === text.end ? "the end" : `“${text.shown(best)}”`} (${percent(p[best])}).`);
  });
}

export default { render };
