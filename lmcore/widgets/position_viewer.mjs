// Position viewer: the matrix of position vectors, one pair of its numbers as a clock, and the dot product of two positions.
import { array, button, clamp, controls, facts, follow, frame, h, radios, slider, svg, write } from "./draw.mjs";
import { axes, draggable, lineLegend, plane, through, ticks } from "./plot.mjs";
import { products, rowsOf, speeds, spread } from "./positions.mjs";

const NAMES = { sinusoidal: "Sinusoidal, added", rotary: "Rotary, turned", learned: "Learned, added" };
const BASES = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];
const f64 = (view) => array(Float64Array, view);
const round = (v) => (Math.abs(v) < 1e-9 ? "0" : Math.abs(v) >= 1000 ? v.toPrecision(4).replace(/e\+?(\d+)/, " · 10^$1") : v.toPrecision(3));
const whole = (v) => String(Number(v.toPrecision(6))).replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** The matrix: a row for every position, a square for every number, filled above 0 and hollow below. */
function matrixView({ pick }) {
  let last = null, toCell = () => [0, 0];
  const chart = plane((width) => Math.round(clamp(width, 240, 380)) + 46, { role: "img" }, () => last && show(last));
  const back = svg("g"), plus = svg("path", { class: "lmw-plus" }), minus = svg("path", { class: "lmw-minus lmw-thin" }), marks = svg("g"), pad = svg("rect", { class: "lmw-pad" });
  chart.node.append(back, plus, minus, marks, pad);
  draggable(chart.node, pad, (point) => pick(...toCell(point)));
  function show(data) {
    last = data;
    const { rows, length, dim, scale, position, other, pair } = data, { width, height } = chart.size;
    const box = { left: 36, right: width - 34, top: 6, bottom: height - 40 }, cw = (box.right - box.left) / dim, ch = (box.bottom - box.top) / length, side = Math.min(cw, ch) * 0.96;
    const x = (c) => box.left + cw * c, y = (n) => box.top + ch * n;
    toCell = ([px, py]) => [clamp(Math.floor((py - box.top) / ch), 0, length - 1), clamp(Math.floor((px - box.left) / (2 * cw)), 0, dim / 2 - 1)];
    let filled = "", hollow = "";
    for (let n = 0; n < length; n++) for (let c = 0; c < dim; c++) {
      const v = rows[n * dim + c], s = side * Math.sqrt(Math.abs(v) / scale);
      if (s < 0.4) continue;
      const piece = `M${(x(c + 0.5) - s / 2).toFixed(1)},${(y(n + 0.5) - s / 2).toFixed(1)}h${s.toFixed(1)}v${s.toFixed(1)}h${(-s).toFixed(1)}z`;
      if (v > 0) filled += piece; else hollow += piece;
    }
    plus.setAttribute("d", filled);
    minus.setAttribute("d", hollow);
    for (const [key, v] of Object.entries({ x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })) pad.setAttribute(key, v);
    back.replaceChildren(svg("rect", { class: "lmw-followed", x: x(2 * pair), y: box.top - 4, width: 2 * cw, height: box.bottom - box.top + 8, rx: 2 }),
      axes({ box, x: (v) => x(v + 0.5), y: (n) => y(n + 0.5), xTicks: ticks(0, dim - 1, Math.min(8, width / 50)).filter(Number.isInteger), yTicks: [], xTitle: "number of the vector" }),
      ...ticks(0, length - 1, 6).filter(Number.isInteger).map((n) => svg("text", { class: "lmw-axis-title", x: box.left - 6, y: y(n + 0.5) + 4, "text-anchor": "end" }, n)));
    marks.replaceChildren(...[[other, "n", "other"], [position, "m", "position"]].flatMap(([n, name, kind]) => [
      svg("rect", { class: `lmw-row-mark lmw-row-${kind}`, x: box.left - 1, y: y(n) - 1, width: box.right - box.left + 2, height: ch + 2, rx: 2 }),
      svg("text", { class: "lmw-important", x: box.right + 6, y: y(n + 0.5) + 4.5 + (Math.abs(position - other) * ch < 13 && position !== other ? (n === Math.max(position, other) ? 5 : -5) : 0), "font-style": "italic" },
        position === other ? "m, n" : name)]));
    chart.node.setAttribute("aria-label", `Matrix of ${length} positions by ${dim} numbers. Rows ${position} and ${other} and numbers ${2 * pair} and ${2 * pair + 1} are marked.`);
  }
  return { node: chart.node, show, close: chart.close };
}

/** One pair of numbers as the hand of a clock, at all positions and at the two that are chosen. */
function clockView() {
  let last = null;
  const chart = plane((width) => Math.min(width, 230), { role: "img" }, () => last && show(last));
  function show(data) {
    last = data;
    const { left, right, length, dim, pair, position, other, reach } = data, { width, height } = chart.size, cx = width / 2, cy = height / 2, u = (height / 2 - 16) / reach;
    // sinusoidal: the cosine comes second, and a hand's angle is measured from the horizontal axis
    const hand = (rows, n) => { const a = rows[n * dim + 2 * pair], b = rows[n * dim + 2 * pair + 1]; return data.swap ? [b, a] : [a, b]; };
    const place = ([a, b]) => [cx + u * a, cy - u * b], dots = Array.from({ length }, (_, n) => place(hand(left, n)));
    const one = hand(left, position), two = hand(right, other), tip = (point) => place(point);
    const rim = data.round ? [svg("circle", { class: "lmw-unit", cx, cy, r: u * Math.hypot(...one) })] : [];
    chart.node.replaceChildren(svg("path", { class: "lmw-cross", d: `M${cx - height / 2 + 4},${cy}H${cx + height / 2 - 4}M${cx},4V${height - 4}` }), ...rim,
      ...dots.map(([x, y]) => svg("circle", { class: "lmw-other", cx: x, cy: y, r: 2 })),
      svg("path", { class: "lmw-hand lmw-hand-other", d: `M${cx},${cy}L${tip(two).join()}`, "data-hand": two.join() }), svg("path", { class: "lmw-hand lmw-hand-position", d: `M${cx},${cy}L${tip(one).join()}`, "data-hand": one.join() }),
      ...[[two, "n", "other"], [one, "m", "position"]].flatMap(([point, name, kind]) => {
        const [x, y] = tip(point), away = Math.hypot(x - cx, y - cy) || 1;
        return [svg("circle", { class: `lmw-dot lmw-dot-${kind}`, cx: x, cy: y, r: 5 }), svg("text", { class: "lmw-important lmw-tick", x: x + ((x - cx) / away) * 13, y: y + ((y - cy) / away) * 13 + 4.5, "text-anchor": "middle", "font-style": "italic" }, name)];
      }));
    const degrees = (point) => Math.round((Math.atan2(point[1], point[0]) * 180) / Math.PI);
    chart.node.setAttribute("aria-label", `Clock of pair ${pair}: the hand of position m points to ${degrees(one)} degrees, that of position n to ${degrees(two)} degrees.`);
  }
  return { node: chart.node, show, close: chart.close };
}

/** Dot products against distance: one line for every position m, the chosen one thick. */
function productView({ pick }) {
  let last = null, toDistance = () => 0;
  const chart = plane((width) => (width < 420 ? 240 : 270), { role: "img" }, () => last && show(last));
  const back = svg("g"), lines = svg("g"), pad = svg("rect", { class: "lmw-pad" });
  chart.node.append(back, lines, pad);
  draggable(chart.node, pad, ([x]) => pick(toDistance(x)));
  function show(data) {
    last = data;
    const { found, length, position, other } = data, { width, height } = chart.size, box = { left: 46, right: width - 12, top: 10, bottom: height - 42 };
    let low = Math.min(0, ...found), high = Math.max(0, ...found);
    if (low === high) high = 1;
    const x = (k) => box.left + ((box.right - box.left) * (k + length - 1)) / (2 * length - 2), y = (v) => box.bottom - ((box.bottom - box.top) * (v - low)) / (high - low);
    toDistance = (px) => Math.round(((px - box.left) / (box.right - box.left)) * (2 * length - 2)) - length + 1;
    const line = (m) => through(Array.from({ length }, (_, n) => [x(n - m), y(found[m * length + n])]));
    for (const [key, v] of Object.entries({ x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })) pad.setAttribute(key, v);
    back.replaceChildren(axes({ box, x, y, xTicks: ticks(1 - length, length - 1, width < 420 ? 5 : 8).filter(Number.isInteger), yTicks: ticks(low, high, 5), yText: (v) => String(v).replace("-", "−"), xText: (v) => String(v).replace("-", "−"), xTitle: "distance n − m, in positions" }));
    const v = found[position * length + other];
    lines.replaceChildren(svg("path", { class: "lmw-curve lmw-bundle", d: Array.from({ length }, (_, m) => line(m)).join("") }),
      svg("path", { class: "lmw-curve lmw-curve-chosen", d: line(position), "data-values": Array.from(found.subarray(position * length, (position + 1) * length)).join() }),
      svg("path", { class: "lmw-probe", d: `M${x(other - position)},${box.top}V${box.bottom}` }), svg("circle", { class: "lmw-dot lmw-dot-measured", cx: x(other - position), cy: y(v), r: 6 }));
    chart.node.setAttribute("aria-label", `Dot product of position m, ${position}, with every position n, against the distance: ${round(found[position * length + position])} at distance 0, ${round(v)} at distance ${other - position}.`);
  }
  return { node: chart.node, show, close: chart.close };
}

function render({ model, el }) {
  const length = model.get("length"), dim = model.get("dim"), kinds = model.get("kinds"), last = length - 1, pairs = dim / 2;
  const fixed = { length, dim, query: f64(model.get("query")), key: f64(model.get("key")), table: f64(model.get("table")) };
  const { body, say } = frame(model, el, "positions", "Position viewer",
    "move both positions together: the dot product stays. Then make the base small: which clocks speed up, and how far apart must two positions be to look alike?");
  const first = model.get("base"), bases = [...new Set([...BASES, first])].sort((a, b) => a - b);
  const nearest = (base) => bases.reduce((best, b, i) => (Math.abs(Math.log(b / base)) < Math.abs(Math.log(bases[best] / base)) ? i : best), 0);
  const at = (name, most) => clamp(model.get(name), 0, most), put = (changes) => write(model, changes);

  const kind = radios("Positions", kinds.map((name) => NAMES[name]), (i) => put({ kind: kinds[i] }));
  const set = (label, onchange, most) => {
    const shown = h("span", { class: "lmw-set", "aria-hidden": "true" }), it = slider(label, onchange);
    it.node.querySelector("label").append(" ", shown);
    it.input.max = most;
    return { ...it, show(value, text) { it.input.value = value; it.input.setAttribute("aria-valuetext", text); shown.textContent = text; } };
  };
  const base = set("Base L", (i) => put({ base: bases[i] }), bases.length - 1), position = set("Position m", (m) => put({ position: m }), last);
  const other = set("Position n", (n) => put({ other: n }), last), pair = set("Pair i", (i) => put({ pair: i }), pairs - 1);
  const both = (by) => () => { const m = at("position", last), n = at("other", last); if (Math.min(m, n) + by >= 0 && Math.max(m, n) + by <= last) put({ position: m + by, other: n + by }); };
  const back = button("◀ Both back", both(-1)), on = button("Both on ▶", both(1), { class: "lmw-primary" });
  const matrix = matrixView({ pick: (n, i) => put({ position: n, pair: i }) }), clock = clockView();
  const chart = productView({ pick: (k) => put({ other: clamp(at("position", last) + k, 0, last) }) });
  const matrixTitle = h("p", { class: "lmw-caption" }), clockTitle = h("p", { class: "lmw-caption" }), chartTitle = h("p", { class: "lmw-caption" }), numbers = h("div", { class: "lmw-facts lmw-lab-facts" });
  const key = lineLegend({ chosen: "position m", bundle: "every other position" });
  body.append(kind.node, controls(base.node, pair.node), controls(position.node, other.node, h("div", { class: "lmw-controls" }, back, on)),
    h("div", { class: "lmw-columns lmw-lab-columns" }, h("div", {}, matrixTitle, matrix.node, h("p", { class: "lmw-note" }, "A square for every number: filled above 0, hollow below, the larger the farther from 0.")),
      h("div", { class: "lmw-beside" }, h("div", {}, clockTitle, clock.node), numbers)),
    h("div", {}, chartTitle, chart.node, key));

  const done = follow(model, ["kind", "base", "position", "other", "pair"], () => {
    const name = kinds.includes(model.get("kind")) ? model.get("kind") : kinds[0], L = model.get("base"), m = at("position", last), n = at("other", last), i = at("pair", pairs - 1);
    const rows = rowsOf(name, { ...fixed, base: L }), found = products(rows, length, dim), omega = speeds(dim, L)[i], differ = spread(found, length);
    const pairOf = (v, c) => Math.hypot(v[c * 2], v[c * 2 + 1]), reach = name === "sinusoidal" ? 1 : name === "rotary" ? Math.max(pairOf(fixed.query, i), pairOf(fixed.key, i)) : Math.max(...Array.from({ length }, (_, p) => Math.hypot(rows.left[p * dim + 2 * i], rows.left[p * dim + 2 * i + 1])), 1e-12);
    kind.show(kinds.indexOf(name));
    base.show(nearest(L), whole(L));
    base.node.hidden = name === "learned";
    position.show(m, String(m));
    other.show(n, String(n));
    pair.show(i, `${i}: numbers ${2 * i} and ${2 * i + 1}`);
    back.disabled = Math.min(m, n) === 0;
    on.disabled = Math.max(m, n) === last;
    const scale = Math.max(...rows.left.map(Math.abs), 1e-12);
    matrix.show({ rows: rows.left, length, dim, scale, position: m, other: n, pair: i });
    clock.show({ ...rows, length, dim, pair: i, position: m, other: n, reach, swap: name === "sinusoidal", round: name !== "learned" });
    chart.show({ found, length, position: m, other: n });
    matrixTitle.textContent = { sinusoidal: "r, a row for every position", rotary: "One query, turned for every position", learned: "The learned table, a row for every position" }[name];
    clockTitle.textContent = name === "learned" ? `Numbers ${2 * i} and ${2 * i + 1}: no clock` : `Pair ${i} as a clock`;
    chartTitle.textContent = name === "rotary" ? "Dot product of the query at m and a key at n" : "Dot product of positions m and n";
    const product = found[m * length + n], turn = (2 * Math.PI) / omega;
    numbers.replaceChildren(...facts({
      product: [name === "rotary" ? `Query at ${m} · key at ${n}` : `Position ${m} · position ${n}`, round(product).replace("-", "−"), product],
      spread: ["Equal distances differ by at most", round(differ), differ],
      ...(name === "learned" ? {} : { turn: [`Pair ${i} turns once in`, `${round(turn)} positions`, turn], angle: ["Turn from m to n", `${round((((n - m) * omega * 180) / Math.PI) % 360).replace("-", "−")}°`, (n - m) * omega] }),
    }));
    say(`${NAMES[name].split(",")[0]}${name === "learned" ? "" : `, L = ${whole(L)}`}. Positions ${m} and ${n} are ${Math.abs(m - n)} apart; the dot product is ${round(product).replace("-", "−")}. `
      + (differ < 1e-9 ? "It is the same for every two positions at this distance: all lines coincide." : `It depends on the positions, not on the distance alone: at the same distance the products differ by up to ${round(differ)}.`)
      + (name === "learned" ? "" : ` Pair ${i} turns once in ${round(turn)} positions.`));
  });
  return () => { done(); matrix.close(); clock.close(); chart.close(); };
}

export default { render };
