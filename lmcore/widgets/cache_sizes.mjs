// Cache sizes: heads of queries over heads of keys and values, and the bytes of the cache against the length of the text.
import { clamp, controls, facts, follow, frame, h, radios, select, slider, svg, write } from "./draw.mjs";
import { axes, draggable, lineLegend, plane, through } from "./plot.mjs";

const UNITS = [[1, "B"], [1e3, "kB"], [1e6, "MB"], [1e9, "GB"], [1e12, "TB"], [1e15, "PB"]];
const three = (v) => String(Number(v.toPrecision(3)));
const told = (v) => { const [size, name] = UNITS.filter(([s]) => v >= s * 0.9995).at(-1) ?? UNITS[0]; return `${three(v / size)}\u00a0${name}`; };
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const count = (n, one, many = one + "s") => `${grouped(n)} ${n === 1 ? one : many}`;
const KINDS = { MHA: "multi-head", GQA: "grouped-query", MQA: "multi-query" }, CURVES = { MHA: "rnn", GQA: "transformer", MQA: "lstm" };
const POWERS = (most) => Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
const MEMORIES = [1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 141, 192, 256, 384, 512, 640, 768, 1000];

/** Bytes of the keys and values of `length` tokens of `batch` texts, as lmcore.widgets.cache_sizes.cache_bytes. */
const cacheBytes = ({ layers, kvHeads, headDim, length, batch, bytes }) => 2 * layers * kvHeads * headDim * length * batch * bytes;
const kindOf = (heads, kvHeads) => (kvHeads === heads ? "MHA" : kvHeads === 1 ? "MQA" : "GQA");

/** Query heads in a row, under them the heads of keys and values that they share. */
function headView() {
  let last = null;
  const view = plane(112, { role: "img" }, () => last && show(...last));
  function show(heads, kvHeads) {
    last = [heads, kvHeads];
    const left = 2, width = view.size.width - 4, step = width / heads, per = heads / kvHeads, gap = Math.min(6, step * 0.3), wide = Math.min(step - Math.min(2, step * 0.2), 26);
    const middle = (i) => left + (i + 0.5) * step, box = (i) => ({ x: left + i * per * step + gap / 2, width: per * step - gap });
    view.node.replaceChildren(
      svg("text", { class: "lmw-axis-title", x: left, y: 11 }, count(heads, "head") + " of queries"),
      svg("g", {}, Array.from({ length: heads }, (_, i) => svg("path", { class: "lmw-cache-line", d: `M${middle(i)},44L${middle(Math.floor(i / per) * per + (per - 1) / 2)},64` }))),
      svg("g", {}, Array.from({ length: heads }, (_, i) => svg("rect", { class: "lmw-cache-query", x: middle(i) - wide / 2, y: 20, width: wide, height: 24, rx: Math.min(4, wide / 4) }))),
      svg("g", {}, Array.from({ length: kvHeads }, (_, i) => svg("rect", { class: "lmw-cache-kv", ...box(i), y: 64, height: 24, rx: Math.min(4, box(i).width / 4) }))),
      svg("text", { class: "lmw-axis-title", x: left, y: 106 }, `${count(kvHeads, "head")} of keys and values: kept`));
    view.node.setAttribute("aria-label", `${count(heads, "head")} of queries; every ${per === 1 ? "one has its own head" : `${per} share one head`} of keys and values, ${grouped(kvHeads)} in all.`);
  }
  return { node: view.node, show, close: view.close };
}

/** Bytes against the length, both logarithmic: MHA, MQA and what lies between; the memory that there is as a level line. */
function sizeView(pick) {
  let last = null, toLength = () => 1;
  const view = plane((width) => (width < 420 ? 280 : 320), { role: "img" }, () => last && show(last));
  const back = svg("g"), lines = svg("g"), pad = svg("rect", { class: "lmw-pad" });
  view.node.append(back, lines, pad);
  draggable(view.node, pad, ([x]) => pick(toLength(x)));
  function show(data) {
    last = data;
    const { curves, lengths, length, room, context } = data, { width, height } = view.size, box = { left: 56, right: width - 12, top: 10, bottom: height - 42 };
    const to = Math.log2(lengths.at(-1)), values = Object.values(curves).flatMap((f) => [f(lengths[0]), f(lengths.at(-1))]).concat(room);
    const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
    const x = (T) => box.left + ((box.right - box.left) * Math.log2(T)) / to, y = (v) => box.bottom - ((box.bottom - box.top) * (Math.log10(v) - low)) / (high - low);
    toLength = (px) => 2 ** (((px - box.left) / (box.right - box.left)) * to);
    for (const [key, v] of Object.entries({ x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })) pad.setAttribute(key, v);
    const every = Math.ceil((high - low) / 8), yTicks = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((i) => (i - low) % every === 0).map((i) => 10 ** i);
    const xTicks = lengths.filter((_, i) => (lengths.length - 1 - i) % (width < 420 ? 5 : 3) === 0);
    back.replaceChildren(axes({ box, x, y, xTicks, yTicks, xText: (T) => (T >= 1024 ? `${T / 1024}k` : String(T)), yText: told, xTitle: "tokens of a text" }));
    lines.replaceChildren(
      svg("path", { class: "lmw-cache-room", d: `M${box.left},${y(room)}H${box.right}` }), svg("text", { class: "lmw-important", x: box.left + 5, y: y(room) + (y(room) < box.top + 18 ? 14 : -5) }, `${told(room)} of memory`),
      context ? svg("path", { class: "lmw-cache-context", d: `M${x(context)},${box.bottom}v-9` }) : "", svg("path", { class: "lmw-probe", d: `M${x(length)},${box.top}V${box.bottom}` }),
      ...Object.entries(curves).map(([name, f]) => svg("path", { class: `lmw-curve lmw-curve-${CURVES[name]}`, "data-curve": name, "data-values": lengths.map(f).join(), d: through(lengths.map((T) => [x(T), y(f(T))])) })),
      ...Object.entries(curves).map(([name, f]) => svg("circle", { class: `lmw-dot lmw-point-${CURVES[name]}`, cx: x(length), cy: y(f(length)), r: 5 })));
    view.node.setAttribute("aria-label", `Bytes of the cache against the length of a text, both axes logarithmic. At ${grouped(length)} tokens: ${Object.entries(curves).map(([name, f]) => `${name} ${told(f(length))}`).join(", ")}.`);
  }
  return { node: view.node, show, close: view.close };
}

/** A slider over a list of numbers whose label shows the value. */
function choice(label, onchange) {
  let values = [];
  const shown = h("span", { class: "lmw-set", "aria-hidden": "true" }), it = slider(label, (i) => onchange(values[i]));
  it.node.querySelector("label").append(" ", shown);
  return { ...it, show(value, list, text = grouped(value)) {
    values = [...new Set([...list, value])].sort((a, b) => a - b);
    it.input.max = values.length - 1;
    it.input.value = values.indexOf(value);
    it.input.setAttribute("aria-valuetext", text);
    shown.textContent = text;
  } };
}

function render({ model, el }) {
  const models = model.get("models"), most = model.get("most"), formats = Object.keys(model.get("numbers"));
  const { body, say } = frame(model, el, "cache", "Cache sizes", "share the keys and values of Llama 2 70B among more heads of queries, or give every head its own. How many texts fit then?");
  const lengths = POWERS(most.length), set = (name) => (value) => write(model, { [name]: value });
  const divisors = (n) => Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);
  const published = select("Model", models.map(({ name }) => name), (i) => {
    const { layers, heads, kv_heads, head_dim } = models[i];
    write(model, { chosen: i, layers, heads, kv_heads, head_dim });
  });
  const kinds = radios("Attention", Object.entries(KINDS).map(([short, long]) => `${short}, ${long}`), (i) => {
    const heads = model.get("heads"), inside = divisors(heads).slice(1, -1), mine = models[model.get("chosen")];
    const between = mine.heads === heads && inside.includes(mine.kv_heads) ? mine.kv_heads : inside.find((n) => n >= 8) ?? inside.at(-1);
    write(model, { kv_heads: [heads, between, 1][i] });
  });
  const kv = choice("Heads of keys and values", set("kv_heads")), layers = choice("Layers", set("layers")), headDim = choice("Width of a head", set("head_dim"));
  const length = choice("Tokens of a text", set("length")), batch = choice("Texts at once", set("batch")), memory = choice("Memory for the cache", set("memory"));
  const number = radios("Numbers", formats, (i) => write(model, { number: formats[i] }));
  const heads = headView(), chart = sizeView((T) => write(model, { length: lengths.reduce((best, v) => (Math.abs(Math.log(v / T)) < Math.abs(Math.log(best / T)) ? v : best)) }));
  const caption = h("p", { class: "lmw-caption" }), key = h("div"), source = h("p", { class: "lmw-note" }), values = h("div", { class: "lmw-facts lmw-thirds" });
  body.append(controls(published.node), source, kinds.node, h("div", {}, heads.node), controls(kv.node, layers.node, headDim.node), controls(length.node, batch.node, memory.node), number.node,
    h("div", {}, caption, chart.node, key), values);

  const done = follow(model, ["chosen", "layers", "heads", "kv_heads", "head_dim", "length", "batch", "number", "memory"], () => {
    const here = models[clamp(model.get("chosen"), 0, models.length - 1)], all = model.get("heads"), now = model.get("kv_heads"), kind = kindOf(all, now), T = model.get("length");
    const sizes = { layers: model.get("layers"), headDim: model.get("head_dim"), batch: model.get("batch"), bytes: model.get("numbers")[model.get("number")] };
    const size = (kvHeads, tokens = T, texts = sizes.batch) => cacheBytes({ ...sizes, kvHeads, length: tokens, batch: texts }), room = model.get("memory") * 1e9;
    const same = here.layers === sizes.layers && here.heads === all && here.kv_heads === now && here.head_dim === sizes.headDim, inside = divisors(all).slice(1, -1);
    published.input.selectedIndex = models.indexOf(here);
    kinds.show(Object.keys(KINDS).indexOf(kind));
    kinds.inputs[1].disabled = !inside.length;
    kinds.inputs[2].disabled = all === 1;
    kv.show(now, divisors(all));
    layers.show(sizes.layers, [1, 2, 4, 6, 8, 12, 16, 18, 24, 32, 40, 48, 64, 80, 96, 118]);
    headDim.show(sizes.headDim, [16, 32, 64, 96, 128, 192, 256]);
    length.show(T, lengths);
    batch.show(sizes.batch, POWERS(most.batch));
    memory.show(model.get("memory"), MEMORIES, `${model.get("memory")}\u00a0GB`);
    number.show(formats.indexOf(model.get("number")));
    heads.show(all, now);
    const curves = { MHA: (n) => size(all, n), ...(kind === "GQA" ? { GQA: (n) => size(now, n) } : {}), ...(all > 1 ? { MQA: (n) => size(1, n) } : {}) };
    caption.textContent = `Bytes of keys and values, ${count(sizes.batch, "text")}, ${count(sizes.layers, "layer")}, ${model.get("number")}`;
    source.textContent = same ? `${here.source}. Trained on up to ${grouped(here.context)} tokens.` : `Changed: ${here.name} has ${count(here.layers, "layer")}, ${count(here.heads, "head")} of queries, ${grouped(here.kv_heads)} of keys and values, each ${grouped(here.head_dim)} wide.`;
    chart.show({ curves, lengths, length: T, room, context: here.context });
    key.replaceChildren(lineLegend(Object.fromEntries(Object.keys(curves).map((name) => [CURVES[name], `${name}, ${{ MHA: all, GQA: now, MQA: 1 }[name]} of ${all}`]))));
    const bytes = size(now), fit = Math.floor(room / size(now, T, 1)), saved = all / now;
    values.replaceChildren(...facts({ bytes: ["The whole cache", told(bytes), bytes], mha: ["With MHA it would be", told(size(all)), size(all)], saved: ["Smaller than with MHA", `${three(saved)} times`, saved], token: ["One token of one text", told(size(now, 1, 1)), size(now, 1, 1)], text: ["One text", told(size(now, T, 1)), size(now, T, 1)],
      fit: [`Texts that fit in ${model.get("memory")}\u00a0GB`, grouped(fit), fit] }));
    say(`${same ? here.name : "Your model"} with ${kind}: ${saved === 1 ? "every head of queries has its own keys and values" : `${count(saved, "head")} of queries share one head of keys and values`}. `
      + `${count(sizes.batch, "text")} of ${count(T, "token")} ${sizes.batch === 1 ? "takes" : "take"} ${told(bytes)}; ${fit ? `${count(fit, "such text")} would fit` : "not one such text would fit"} in ${model.get("memory")} GB beside nothing else.`);
  });
  return () => { done(); heads.close(); chart.close(); };
}

export default { render };
