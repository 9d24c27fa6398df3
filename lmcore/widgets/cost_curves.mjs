// Cost curves: operations, memory, waiting and time of an RNN, an LSTM and a Transformer against the length of the text.
import { button, checkbox, clamp, controls, facts, follow, frame, h, radios, select, slider, svg, write } from "./draw.mjs";
import { axes, draggable, lineLegend, plane, through } from "./plot.mjs";
import { carried, memory, operations, seconds, square, waiting } from "./costs.mjs";

const VIEWS = ["arithmetic", "memory", "waiting", "time"], NAMES = ["Arithmetic", "Memory", "Waiting", "Time"];
const MODELS = ["RNN", "LSTM", "Transformer"], STYLES = { RNN: "rnn", LSTM: "lstm", Transformer: "transformer", held: "transformer", fused: "fused", square: "square" };
const SHAPES = { RNN: "M0,-6L5.5,4.5H-5.5Z", LSTM: "M-4.5,-4.5H4.5V4.5H-4.5Z", Transformer: "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z" };
const LABELS = { held: "Transformer, weights held", fused: "Transformer, fused attention", square: "Transformer, the T² part" };
const TITLES = { arithmetic: "Operations in the matrix products", memory: "Memory kept for the backward pass", waiting: "Matrix products that wait for one another", time: "Time" };
const WIDTHS = [32, 64, 128, 256, 512, 1024, 2048, 4096], FIRST = 8, STEPS = 20; // steps of a slider per factor of ten
const SPEED = [0.1, 1e6], DELAY = [0.01, 1e4];

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹", raised = (n) => [...String(n)].map((c) => (c === "-" ? "⁻" : RAISED[c])).join("");
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const three = (v) => String(Number(v.toPrecision(3)));
/** A number with a unit of a list [[1, "B"], [1e3, "kB"], …]. */
const scaled = (v, units) => { const [size, name] = units.filter(([s]) => v >= s * 0.9995).at(-1) ?? units[0]; return `${three(v / size)}\u00a0${name}`; };
const UNITS = {
  arithmetic: [[1, "operations"], [1e3, "thousand"], [1e6, "million"], [1e9, "billion"], [1e12, "trillion"], [1e15, "· 10¹⁵"]],
  memory: [[1, "B"], [1e3, "kB"], [1e6, "MB"], [1e9, "GB"], [1e12, "TB"], [1e15, "PB"]],
  time: [[1e-9, "ns"], [1e-6, "µs"], [1e-3, "ms"], [1, "s"]],
};
const told = (view, v) => (view === "waiting" ? grouped(v) : scaled(v, UNITS[view]));

/** The curves of a view, by name: a function of T. */
function curvesOf(view, sizes, speed, delay) {
  const all = (f, names = MODELS) => Object.fromEntries(names.map((name) => [name, (T) => f(name, T)]));
  if (view === "arithmetic") return { ...all((m, T) => operations(m, T, sizes)), square: (T) => square(T, sizes) };
  if (view === "memory") return all((m, T) => memory(m, T, sizes), ["RNN", "LSTM", "held", "fused"]);
  if (view === "waiting") return all((m, T) => waiting(m, T, sizes));
  return all((m, T) => seconds(m, T, sizes, speed, delay));
}

/** Curves on two logarithmic axes. */
function costView({ pick }) {
  let last = null, toLength = () => FIRST;
  const chart = plane((width) => (width < 420 ? 300 : 360), { role: "img" }, () => last && show(last));
  const back = svg("g"), lines = svg("g"), pad = svg("rect", { class: "lmw-pad" });
  chart.node.append(back, lines, pad);
  draggable(chart.node, pad, ([x]) => pick(toLength(x)));
  function show(data) {
    last = data;
    const { view, curves, lengths, length, points } = data, { width, height } = chart.size, box = { left: 52, right: width - 14, top: 10, bottom: height - 42 };
    const from = Math.log2(Math.min(lengths[0], length)), to = Math.log2(lengths.at(-1)), names = Object.keys(curves);
    const values = [...names.flatMap((name) => lengths.map(curves[name])), ...Object.values(points).flat().map(([, v]) => v)].filter((v) => v > 0);
    const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
    const x = (T) => box.left + ((box.right - box.left) * (Math.log2(T) - from)) / (to - from), y = (v) => box.bottom - ((box.bottom - box.top) * (Math.log10(v) - low)) / (high - low);
    toLength = (px) => 2 ** (from + ((px - box.left) / (box.right - box.left)) * (to - from));
    for (const [key, v] of Object.entries({ x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })) pad.setAttribute(key, v);
    const every = Math.ceil((high - low) / 8), yTicks = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((i) => (i - low) % every === 0).map((i) => 10 ** i);
    const marks = lengths.filter((_, i) => (lengths.length - 1 - i) % (width < 420 ? 3 : 2) === 0);
    const yText = (v) => (view === "memory" || view === "time" ? scaled(v, UNITS[view]) : v <= 1000 ? String(v) : `10${raised(Math.round(Math.log10(v)))}`);
    back.replaceChildren(axes({ box, x, y, xTicks: marks, yTicks, xText: (T) => (T >= 1024 ? `${T / 1024}k` : String(T)), yText, xTitle: "tokens T" }));
    lines.replaceChildren(svg("path", { class: "lmw-probe", d: `M${x(length)},${box.top}V${box.bottom}` }),
      ...names.map((name) => svg("path", { class: `lmw-curve lmw-curve-${STYLES[name]}`, "data-curve": name, "data-values": lengths.map(curves[name]).join(), d: through([...lengths].map((T) => [x(T), y(curves[name](T))])) })),
      ...Object.entries(points).flatMap(([model, list]) => list.map(([T, v]) => svg("path", { class: `lmw-score lmw-point-${STYLES[model]}`, "data-model": model, "data-length": T, "data-value": v, d: SHAPES[model], transform: `translate(${x(T)},${y(v)})` }))),
      ...names.map((name) => svg("circle", { class: `lmw-dot lmw-point-${STYLES[name]}`, cx: x(length), cy: y(curves[name](length)), r: 5 })));
    chart.node.setAttribute("aria-label", `${TITLES[view]} against the length, both axes logarithmic. At ${length} tokens: ${names.map((name) => `${LABELS[name] ?? name} ${told(view, curves[name](length))}`).join(", ")}.`);
  }
  return { node: chart.node, show, close: chart.close };
}

/** A slider whose label shows its value. */
function numbered(label, onchange) {
  const shown = h("span", { class: "lmw-set", "aria-hidden": "true" }), it = slider(label, onchange);
  it.node.querySelector("label").append(" ", shown);
  return { ...it, show(value, text, max, said = text) { if (max !== undefined) it.input.max = max; it.input.value = value; it.input.setAttribute("aria-valuetext", said); shown.textContent = text; } };
}

/** A select over numbers whose list may change. */
function numbers(label, onchange) {
  let options = [];
  const it = select(label, [], (i) => onchange(options[i]));
  return { ...it, show(value, list) {
    const wanted = [...new Set([...list, value])].sort((a, b) => a - b);
    if (wanted.join() !== options.join()) it.input.replaceChildren(...wanted.map((n) => h("option", {}, grouped(n))));
    options = wanted;
    it.input.selectedIndex = options.indexOf(value);
  } };
}

function render({ model, el }) {
  const devices = model.get("devices"), measuredWith = model.get("sizes"), longest = model.get("longest"), most = model.get("most");
  const { body, say } = frame(model, el, "cost", "Cost curves",
    "make the text longer. Where does attention’s square take over? Then look at what waits: what does a device with a long delay like, and what one with a high speed?");
  const powers = Array.from({ length: 32 }, (_, i) => FIRST * 2 ** i).filter((T) => T <= longest), lengths = [...new Set([...powers, longest])];
  const nearest = (T) => lengths.reduce((best, v) => (Math.abs(Math.log(v / T)) < Math.abs(Math.log(best / T)) ? v : best));
  const divisors = (dim) => Array.from({ length: Math.min(dim, most.heads) }, (_, i) => i + 1).filter((n) => dim % n === 0);
  const set = (name) => (value) => write(model, { [name]: value });
  const lengthTo = (T) => write(model, { length: nearest(T) });
  const logged = (v, [low]) => Math.round(STEPS * Math.log10(v / low)), back = (i, [low, high]) => clamp(low * 10 ** (i / STEPS), low, high);

  const views = radios("Show", NAMES, (i) => write(model, { view: VIEWS[i] }));
  const T = numbered("Length T", (i) => write(model, { length: lengths[i] })), layers = numbered("Layers", set("layers")), batch = numbers("Texts B", set("batch"));
  layers.input.min = 1;
  const dims = numbers("Width C", (dim) => write(model, { dim, heads: divisors(dim).filter((n) => n <= model.get("heads")).at(-1), hidden: clamp(Math.round((model.get("hidden") / model.get("dim")) * dim), 1, most.hidden) }));
  const heads = numbers("Heads H", set("heads")), hidden = numbers("Hidden F", set("hidden"));
  const training = checkbox("training: with the backward pass", (on) => write(model, { training: on }));
  const speed = numbered("Speed", (i) => write(model, { speed: back(i, SPEED) })), delay = numbered("Delay", (i) => write(model, { delay: back(i, DELAY) }));
  speed.input.max = STEPS * Math.log10(SPEED[1] / SPEED[0]);
  delay.input.max = STEPS * Math.log10(DELAY[1] / DELAY[0]);
  const device = select("Device", devices.map(({ name }) => name), (i) => write(model, { chosen: i, speed: devices[i].speed, delay: devices[i].delay }));
  const again = button("As measured", () => { const { speed: s, delay: d } = devices[model.get("chosen")]; write(model, { ...measuredWith, speed: s, delay: d }); });
  const deviceRow = controls(devices.length ? device.node : null, speed.node, delay.node, devices.length ? again : null);
  const chart = costView({ pick: lengthTo }), caption = h("p", { class: "lmw-caption" }), key = h("div"), note = h("p", { class: "lmw-note" }), values = h("div", { class: "lmw-facts lmw-row" });
  body.append(views.node, controls(T.node, layers.node), h("div", { class: "lmw-sizes" }, dims.node, heads.node, hidden.node, batch.node), training.node, deviceRow,
    h("div", {}, caption, chart.node, key), note, values);

  const names = ["dim", "heads", "layers", "hidden", "batch", "training"];
  const done = follow(model, [...names, "view", "length", "chosen", "speed", "delay"], () => {
    const sizes = Object.fromEntries(names.map((name) => [name, model.get(name)])), view = VIEWS.includes(model.get("view")) ? model.get("view") : VIEWS[0], length = clamp(model.get("length"), 1, longest);
    const number = clamp(model.get("chosen"), 0, Math.max(0, devices.length - 1)), fast = model.get("speed"), late = model.get("delay");
    const curves = curvesOf(view, sizes, fast, late), same = names.every((name) => measuredWith[name] === sizes[name]), here = devices[number];
    views.show(VIEWS.indexOf(view));
    T.show(lengths.indexOf(nearest(length)), grouped(length), lengths.length - 1);
    layers.show(sizes.layers, String(sizes.layers), Math.max(24, sizes.layers));
    dims.show(sizes.dim, [...WIDTHS, measuredWith.dim]);
    heads.show(sizes.heads, divisors(sizes.dim).filter((n) => n <= 64));
    hidden.show(sizes.hidden, [1, 2, 3, 4, 8, measuredWith.hidden / measuredWith.dim].map((n) => Math.max(1, Math.round(n * sizes.dim))).filter((n) => n <= most.hidden));
    batch.show(sizes.batch, [1, 2, 4, 8, 16, 32, 64, 128, 256, measuredWith.batch]);
    training.input.checked = sizes.training;
    training.node.hidden = view === "memory"; // it is about training anyway
    deviceRow.hidden = view !== "time";
    if (devices.length) device.input.selectedIndex = number;
    speed.show(logged(fast, SPEED), `${three(fast)} · 10⁹/s`, undefined, `${three(fast)} billion operations a second`);
    delay.show(logged(late, DELAY), `${three(late)} µs`);
    const points = view === "time" && here && same ? here.points : {};
    caption.textContent = `${TITLES[view]}, ${view === "memory" || sizes.training ? "training step" : "forward pass"}, ${sizes.batch === 1 ? "1 text" : `${grouped(sizes.batch)} texts`}, ${sizes.layers === 1 ? "1 layer" : `${sizes.layers} layers`}`;
    chart.show({ view, curves, lengths, length, points });
    key.replaceChildren(lineLegend(Object.fromEntries(Object.keys(curves).map((name) => [STYLES[name], LABELS[name] ?? (view === "waiting" && name !== "Transformer" ? { RNN: "RNN", LSTM: "LSTM, as many" }[name] : name)]))));
    note.textContent = view !== "time" ? "" : !devices.length ? "Nothing was measured for this figure: speed and delay are yours to choose."
      : same ? `Lines: operations / speed + products that wait · delay. Marks: measured on ${here.name} (triangle RNN, square LSTM, circle Transformer).`
        : `The marks measured on ${here.name} come back with the sizes they were measured with: “As measured”.`;
    note.hidden = !note.textContent;
    const at = Object.fromEntries(Object.entries(curves).map(([name, f]) => [name, f(length)])), meet = 2 * sizes.dim + sizes.hidden;
    const more = view === "arithmetic" ? { meet: ["The T² part is half of it at T =", grouped(meet), meet] } : view === "memory" ? { ratio: ["Held / fused", `${three(at.held / at.fused)} times`, at.held / at.fused],
      cache: ["Generating: cache of a Transformer", told("memory", carried("Transformer", length, sizes)), carried("Transformer", length, sizes)], state: ["Generating: state of an LSTM", told("memory", carried("LSTM", length, sizes)), carried("LSTM", length, sizes)] } : {};
    values.replaceChildren(...facts({ ...Object.fromEntries(Object.entries(at).map(([name, v]) => [name, [LABELS[name] ?? name, told(view, v), v]])), ...more }));
    say(sentence(view, length, sizes, at, meet));
  });
  return () => { done(); chart.close(); };
}

/** What the reader's sizes mean, in words. */
function sentence(view, length, sizes, at, meet) {
  const start = `At ${grouped(length)} tokens and width ${grouped(sizes.dim)}, `, times = (a, b) => `${three(Math.max(a, b) / Math.min(a, b))} times as ${a >= b ? "much" : "little"}`;
  if (view === "arithmetic") return `${start}a Transformer computes ${times(at.Transformer, at.LSTM)} as an LSTM; ${three((100 * at.square) / at.Transformer)}\u00a0% of it is the part that grows with T². That part is half of all from T = ${grouped(meet)} on.`;
  if (view === "memory") return `${start}attention that holds its weights keeps ${told("memory", at.held)}, fused attention ${told("memory", at.fused)}, an LSTM ${told("memory", at.LSTM)}. Twice as long a text needs ${three((3 * sizes.dim * 2 + sizes.heads * 4 * length) / (3 * sizes.dim + sizes.heads * length))} times as much with the weights held, twice as much without.`;
  if (view === "waiting") return `${start}recurrence has ${grouped(at.LSTM)} products that wait for one another, a Transformer ${grouped(at.Transformer)}, at any length.`;
  const order = MODELS.slice().sort((a, b) => at[a] - at[b]);
  return `${start}this device would need ${order.map((name) => `${told("time", at[name])} for the ${name}`).join(", ")}.`;
}

export default { render };
