// The Transformer as a drawing: where every part stands for a given width and place of the norm, and the wires between them.
import { svg } from "./draw.mjs";
import { plane } from "./plot.mjs";

const HEIGHTS = { data: 34, embedding: 38, attention: 38, mlp: 38, output: 38, norm: 24, add: 24 };
const GAP = 12, FORK = 20, RADIUS = 8;

/** The parts from bottom to top as they stand with this norm: a norm follows the addition, or comes before the sublayer. */
export function inOrder(parts, norm) {
  const out = [], here = parts.filter((part) => part.norms.includes(norm));
  for (let i = 0; i < here.length; i++) {
    if (!here[i].repeated) { out.push(here[i]); continue; }
    const [main, add, after] = here.slice(i, i + 3); // a sublayer is three parts in a row
    out.push(...(norm === "pre" ? [after, main, add] : [main, add, after]));
    i += 2;
  }
  return out;
}

/** The path along right angles through these points, its corners round. */
function bend(points) {
  let out = `M${points[0].join()}`;
  for (let i = 1; i < points.length - 1; i++) {
    const [[ax, ay], [x, y], [bx, by]] = points.slice(i - 1, i + 2);
    const before = Math.min(RADIUS, Math.hypot(x - ax, y - ay) / 2), after = Math.min(RADIUS, Math.hypot(bx - x, by - y) / 2);
    out += `L${x - Math.sign(x - ax) * before},${y - Math.sign(y - ay) * before}Q${x},${y} ${x + Math.sign(bx - x) * after},${y + Math.sign(by - y) * after}`;
  }
  return out + `L${points.at(-1).join()}`;
}

/** A wire and its tip. */
function wire(kind, points, tip = true) {
  const [[ax, ay], [x, y]] = points.slice(-2), dx = Math.sign(x - ax), dy = Math.sign(y - ay), s = 4.5;
  const line = points.map((point) => [...point]);
  if (tip) line[line.length - 1] = [x - dx * 5, y - dy * 5];
  return [svg("path", { class: `lmw-wire lmw-wire-${kind}`, d: bend(line) }),
    ...(tip ? [svg("path", { class: `lmw-wire-tip lmw-wire-tip-${kind}`, d: `M${x},${y}L${x - dx * 8 + dy * s},${y - dy * 8 + dx * s}L${x - dx * 8 - dy * s},${y - dy * 8 - dx * s}Z` })] : [])];
}

/** One column of the whole: places of its parts, its wires, the frame around its blocks. `side` is where the residual wires run: −1 left, 1 right. */
function column(parts, { x, width, bottom, side, layers }) {
  const places = {}, wires = [], lane = x + side * (width / 2 + 11);
  let y = bottom, inside = 0, fork = 0, base = 0, top = 0;
  parts.forEach((part, i) => {
    const first = part.repeated && !parts[i - 1].repeated, after = !part.repeated && parts[i - 1]?.repeated, forks = part.repeated && inside++ % 3 === 0;
    const gap = i === 0 ? 0 : (forks ? FORK : GAP) + (first ? 8 : 0) + (after ? 12 : 0), height = HEIGHTS[part.role], middle = y - gap - height / 2;
    if (first) base = y - 7;
    if (after) top = y - 9;
    if (forks) fork = y - gap + FORK * 0.6;
    places[part.id] = { x, y: middle, width, height };
    if (i) wires.push(...wire("trunk", [[x, y], [x, y - gap]]));
    if (part.repeated && part.role === "add") wires.push(...wire("residual", [[x, fork], [lane, fork], [lane, middle], [x + side * 12, middle]]));
    y = middle - height / 2;
  });
  const left = Math.min(lane, x - width / 2) - 7, right = Math.max(lane, x + width / 2) + 7;
  return { places, wires, frame: { x: left, right, y: top, bottom: base, side, layers }, top: y };
}

/** Encoder and decoder side by side, as in the paper. */
function wholeLayout(parts, width, norm, layers) {
  const half = width / 2, box = Math.min(172, half - 42), middle = box / 2 + 22, ordered = inOrder(parts, norm);
  const decoder = ordered.filter((part) => part.place === "decoder"), encoder = ordered.filter((part) => part.place === "encoder");
  const heights = (list) => column(list, { x: 0, width: box, bottom: 0, side: 1, layers }).top;
  const height = Math.ceil(-Math.min(heights(decoder), heights(encoder)) + 30), bottom = height - 4, off = Math.max(0, (half - 2 * (box / 2 + 22) - 10) / 2);
  const left = column(encoder, { x: off + middle, width: box, bottom, side: -1, layers }), right = column(decoder, { x: width - off - middle, width: box, bottom, side: 1, layers });
  const places = { ...left.places, ...right.places }, memory = places.memory, cross = places.decoder_cross;
  const wires = [...left.wires, ...right.wires,
    ...wire("memory", [[memory.x + box / 2, memory.y], [half, memory.y], [half, cross.y], [cross.x - box / 2, cross.y]])];
  const titles = [["Encoder", memory.x, left.top - 10], ["Decoder", cross.x, right.top - 10]];
  return { places, wires, frames: [left.frame, right.frame], titles, height };
}

/** One block: the stream of vectors goes straight up, the sublayers stand beside it. */
function blockLayout(parts, width, norm) {
  const off = Math.max(0, (width - 440) / 2), x = off + Math.min(92, width * 0.26), box = Math.min(172, width * 0.46), beside = Math.min(width - off - box / 2 - 8, x + 210), small = Math.min(128, 2 * (x - off) - 12);
  const at = Object.fromEntries(parts.map((part) => [part.id, part])), rows = [["block_self", "block_add1", "block_norm1"], ["block_mlp", "block_add2", "block_norm2"]];
  const places = {}, wires = [], frames = [];
  const depth = 2 * (FORK + 4 * GAP + 38 + 24 + 24 + 8) + 2 * 34 + 40, bottom = depth;
  let y = bottom - 17;
  const put = (id, px, py, w) => { places[id] = { x: px, y: py, width: w, height: HEIGHTS[at[id].role] }; return py; };
  put("block_in", x, y, small);
  let from = y - 17;
  for (const [main, add, normed] of rows) {
    const fork = from - 16, w = box;
    let sum;
    if (norm === "pre") {
      const n = put(normed, beside, fork - 24, w), m = put(main, beside, n - 12 - GAP - 19, w);
      sum = put(add, x, m - 19 - 22, 24);
      wires.push(...wire("road", [[x, from], [x, sum + 12]]), ...wire("branch", [[x, fork], [beside, fork], [beside, n + 12]]),
        ...wire("branch", [[beside, n - 12], [beside, m + 19]]), ...wire("branch", [[beside, m - 19], [beside, sum], [x + 12, sum]]));
      from = sum - 12;
    } else {
      const m = put(main, beside, fork - 34, w);
      sum = put(add, x, m - 19 - 22, 24);
      const n = put(normed, x, sum - 12 - GAP - 14, small);
      wires.push(...wire("road", [[x, from], [x, sum + 12]]), ...wire("branch", [[x, fork], [beside, fork], [beside, m + 19]]),
        ...wire("branch", [[beside, m - 19], [beside, sum], [x + 12, sum]]), ...wire("road", [[x, sum - 12], [x, n + 12]]));
      from = n - 12;
    }
  }
  const end = put("block_out", x, from - 18 - 17, small);
  wires.push(...wire("road", [[x, from], [x, end + 17]]));
  const shift = end - 17 - 4;
  return { places, wires, frames, titles: [], height: bottom, shift };
}

const SINE = "M0,0C3,-9 6,-9 9,0S15,9 18,0";

/** The drawing. `choose(id)` is called when a part is chosen; `show(data)` draws, the parts gliding to their places. */
export function architecture(parts, { whole, choose }) {
  let last = null;
  const chart = plane(() => 600, { role: "radiogroup", "aria-label": whole ? "Parts of the Transformer" : "Parts of the block" }, () => last && show(last));
  const frames = svg("g", { "aria-hidden": "true" }), wires = svg("g", { "aria-hidden": "true" }), boxes = svg("g");
  chart.node.classList.add("lmw-architecture");
  chart.node.append(frames, wires, boxes);
  const drawn = new Map(parts.map((part) => [part.id, box(part)]));
  let order = [];

  function box(part) {
    const name = svg("text", { class: "lmw-part-name", "text-anchor": "middle" }), shape = svg("text", { class: "lmw-part-shape", "text-anchor": "middle", y: 13 });
    const outline = part.role === "add" ? svg("circle", { class: "lmw-part-box", r: 11 }) : svg("rect", { class: "lmw-part-box", rx: part.role === "data" ? 4 : 8 });
    const extra = part.role !== "add" ? [name, shape] : [svg("path", { class: "lmw-plus-sign", d: "M-6,0H6M0,-6V6" }),
      ...(part.repeated ? [] : [svg("path", { class: "lmw-sine", d: SINE, transform: "translate(17,0)" }), svg("text", { class: "lmw-part-shape lmw-part-side", x: 39, y: 4 }, "positions")])];
    const node = svg("g", { class: `lmw-part lmw-part-${part.role}`, role: "radio", tabindex: -1, "data-part": part.id, onclick: () => choose(part.id) },
      svg("rect", { class: "lmw-hit", x: -13, y: -12, width: part.role === "add" && !part.repeated ? 50 : 26, height: 24 }), outline, ...extra);
    return { node, name, shape, outline, part };
  }
  const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  chart.node.addEventListener("keydown", (event) => {
    if (!(event.key in steps) && event.key !== " " && event.key !== "Enter") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const at = order.findIndex((part) => part.id === last.chosen), to = Math.min(order.length - 1, Math.max(0, at + (steps[event.key] ?? 0)));
    choose(order[to].id);
    drawn.get(order[to].id).node.focus();
  });

  function show(data) {
    last = data;
    const { norm, chosen, layers, shapeOf } = data, { width } = chart.size;
    order = inOrder(parts, norm);
    const { places, wires: lines, frames: boxesAround, titles, height, shift = 0 } = whole ? wholeLayout(parts, width, norm, layers) : blockLayout(parts, width, norm);
    chart.node.setAttribute("height", height - shift);
    chart.node.setAttribute("viewBox", `0 ${shift} ${width} ${height - shift}`);
    chart.node.classList.toggle("lmw-narrow", whole && width < 340);
    frames.replaceChildren(...boxesAround.flatMap((frame) => [
      svg("rect", { class: "lmw-frame", x: frame.x, y: frame.y, width: frame.right - frame.x, height: frame.bottom - frame.y, rx: 10 }),
      ...repeats(frame)]), ...titles.map(([text, x, y]) => svg("text", { class: "lmw-part-heading", x, y, "text-anchor": "middle" }, text)));
    wires.replaceChildren(...lines);
    const wanted = order.map((part) => drawn.get(part.id).node); // in the order in which a reader goes through them
    if (wanted.length !== boxes.children.length || wanted.some((node, i) => node !== boxes.children[i])) {
      const focused = boxes.querySelector(":focus");
      boxes.replaceChildren(...wanted);
      focused?.focus({ preventScroll: true });
    }
    for (const part of order) {
      const { node, name, shape, outline } = drawn.get(part.id), place = places[part.id], numbers = shapeOf(part.out);
      node.style.transform = `translate(${place.x}px, ${place.y}px)`;
      const on = part.id === chosen;
      node.classList.toggle("lmw-part-chosen", on);
      for (const [key, v] of Object.entries({ "aria-checked": on, tabindex: on ? 0 : -1, "aria-label": `${part.title}${whole && part.repeated ? `, ${part.place}` : ""}: ${numbers} out` })) node.setAttribute(key, v);
      if (part.role === "add") continue;
      for (const [key, v] of Object.entries({ x: -place.width / 2, y: -place.height / 2, width: place.width, height: place.height })) outline.setAttribute(key, v);
      const two = part.role !== "norm";
      name.textContent = place.width < 165 && part.label.length > 18 ? part.label.replace("self-", "") : part.label;
      name.setAttribute("y", two ? -2 : 4);
      shape.textContent = two ? numbers : "";
      for (const text of [name, shape]) { // a name never leaves its box, whatever the font
        text.removeAttribute("textLength");
        if (text.getComputedTextLength() > place.width - 8) for (const [key, v] of Object.entries({ textLength: place.width - 8, lengthAdjust: "spacingAndGlyphs" })) text.setAttribute(key, v);
      }
    }
  }
  /** "6 ×" on the frame, at its outer upper corner. */
  function repeats({ x, y, right, side, layers }) {
    const text = `${layers} ×`, width = 12 + 7 * text.length, left = side < 0 ? x + 8 : right - 8 - width;
    return [svg("rect", { class: "lmw-frame-tag", x: left, y: y - 9, width, height: 18, rx: 9 }), svg("text", { class: "lmw-important", x: left + width / 2, y: y + 4.5, "text-anchor": "middle" }, text)];
  }
  return { node: chart.node, show, order: () => order, close: chart.close };
}
