// Soft look-up: the reader drags a query over keys; scores, weights and the weighted mean of the values follow.
import { best, breadth, dot, softmax } from "./attention.mjs";
import { bar, button, clamp, controls, facts, follow, frame, h, percent, select, slider, svg, write } from "./draw.mjs";
import { axes, draggable, plane, ticks } from "./plot.mjs";

const COLDEST = -2, DECADE = 20; // the slider: 0, then from 10⁻² on 20 steps for a factor of 10
const minus = (text) => text.replace("-", "−");
const round = (x, digits = 3) => (Math.abs(x) < 5e-4 ? "0" : minus(String(Number(x.toPrecision(digits)))));
const written = (v) => (v.length === 1 ? round(v[0]) : `(${v.map((x) => round(x)).join("; ")})`);

/** The look-up: scores q·k, weights and their mean of the values. Temperature 0 shares the weight among the best keys. */
function lookUp({ keys, values, query, temperature }) {
  const scores = keys.map((key) => dot(query, key)), most = Math.max(...scores), winners = scores.map((s) => Number(s === most)), count = winners.reduce((a, b) => a + b, 0);
  const mean = (weights) => values[0].map((_, e) => weights.reduce((sum, w, s) => sum + w * values[s][e], 0));
  const hard = winners.map((w) => w / count), weights = temperature === 0 ? hard : softmax(scores.map((s) => s / temperature));
  return { scores, weights, answer: mean(weights), sure: mean(hard), winners };
}

const RING = "M-6,0A6,6 0 1 0 6,0A6,6 0 1 0 -6,0Z", DIAMOND = "M0,-8L8,0L0,8L-8,0Z";
const disc = (w) => Math.sqrt(w) * 17; // the area of a disc is the weight

/** A name beside a mark, on the side where there is room. */
const nameAt = (x, y, room, text, cls = "") => { const left = x + 16 + 7.5 * short(text).length > room; return svg("text", { class: `lmw-tick ${cls}`, x: left ? x - 12 : x + 12, y: y - 9, "text-anchor": left ? "end" : "start" }, short(text)); };
const short = (text) => (text.length > 12 ? `${text.slice(0, 11)}…` : text);

/** The plane of keys with the query, an arrow that can be dragged and moved with the arrow keys. */
function keyPlane({ keys, labels, reach, move, nudge }) {
  let last = null;
  const chart = plane((width) => Math.min(width, 330), { tabindex: 0, role: "application", "aria-roledescription": "plane of keys" }, () => last && show(last));
  const back = svg("g", { "aria-hidden": "true" }), marks = svg("g", { "aria-hidden": "true" }), shaft = svg("path", { class: "lmw-shaft" });
  const knob = svg("circle", { class: "lmw-knob", r: 9 }), handle = svg("g", { class: "lmw-grab" }, svg("circle", { class: "lmw-hit", r: 22 }), knob);
  const pad = svg("rect", { class: "lmw-sheet" });
  chart.node.append(back, pad, marks, shaft, handle);
  const scale = () => Math.min(chart.size.width, chart.size.height) / 2 / reach, middle = () => [chart.size.width / 2, chart.size.height / 2];
  const at = ([x, y]) => [middle()[0] + x * scale(), middle()[1] - y * scale()];
  const aim = ([px, py]) => move([(px - middle()[0]) / scale(), (middle()[1] - py) / scale()]);
  for (const part of [pad, handle]) draggable(chart.node, part, aim);
  chart.node.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    nudge(way, event.shiftKey);
  });
  function show(data) {
    last = data;
    const { query, weights, winners } = data, [cx, cy] = middle(), half = reach * scale(), [qx, qy] = at(query);
    for (const [key, v] of Object.entries({ x: cx - half, y: cy - half, width: 2 * half, height: 2 * half })) pad.setAttribute(key, v);
    back.replaceChildren(svg("rect", { class: "lmw-field-of", x: cx - half, y: cy - half, width: 2 * half, height: 2 * half, rx: 6 }),
      svg("path", { class: "lmw-cross", d: `M${cx - half},${cy}H${cx + half}M${cx},${cy - half}V${cy + half}` }));
    marks.replaceChildren(...keys.flatMap((key, s) => {
      const [x, y] = at(key);
      return [svg("path", { class: "lmw-leader", d: `M${cx},${cy}L${x},${y}` }), svg("circle", { class: "lmw-share-disc", cx: x, cy: y, r: disc(weights[s]), "data-weight": weights[s] }),
        svg("path", { class: "lmw-key-ring", d: RING, transform: `translate(${x},${y})` }), nameAt(x, y, chart.size.width, labels[s], winners[s] ? "lmw-important" : "")];
    }));
    shaft.setAttribute("d", `M${cx},${cy}L${qx},${qy}`);
    handle.setAttribute("transform", `translate(${qx},${qy})`);
    chart.node.setAttribute("aria-label", `Query at ${written(query)} among ${keys.length} keys. Arrow keys move it, with Shift ten times as far.`);
  }
  return { node: chart.node, show, close: chart.close };
}

/** Values on a line or in a plane, the answer among them, pulled towards each by its weight. */
function valuePlot({ values, labels }) {
  let last = null;
  const flat = values[0].length === 1;
  const span = (e) => { const all = values.map((v) => v[e]), low = Math.min(...all), high = Math.max(...all), room = Math.max(high - low, Math.abs(high) / 10, 1e-9); return [low - room * 0.2, high + room * 0.2]; };
  const spans = values[0].map((_, e) => span(e));
  const along = (width, v) => 14 + ((width - 26) * (v - spans[0][0])) / (spans[0][1] - spans[0][0]); // where a single number lies on its line
  /** Names above a line, in as many rows as they need; keys of one value share a name. */
  function rows(width) {
    const at = new Map();
    values.forEach(([v], s) => at.set(v, [...(at.get(v) ?? []), short(labels[s])]));
    const ends = [];
    return [...at].sort(([a], [b]) => a - b).map(([v, names]) => {
      const text = names.join(", "), half = (7.4 * text.length) / 2, x = clamp(along(width, v), half, width - half);
      let row = ends.findIndex((end) => end < x - half - 4);
      if (row < 0) row = ends.push(0) - 1;
      ends[row] = x + half;
      return { text, x, row, v };
    });
  }
  const above = (width) => 16 * (1 + Math.max(...rows(width).map(({ row }) => row)));
  const chart = plane(flat ? (width) => above(width) + 96 : (width) => Math.min(width, 330), { role: "img" }, () => last && show(last));
  function show(data) {
    last = data;
    const { weights, answer, sure } = data, { width, height } = chart.size, some = width < 300 ? 4 : 6, yTicks = flat ? [] : ticks(...spans[1], some);
    const head = flat ? above(width) : 0;
    const box = { left: flat ? 14 : 14 + 7.5 * Math.max(...yTicks.map((v) => String(v).length)), right: width - 12, top: flat ? head + 6 : 10, bottom: height - 40 };
    const [[low, high]] = spans, x = (v) => box.left + ((box.right - box.left) * (v - low)) / (high - low);
    const y = flat ? () => head + 30 : (v) => box.bottom - ((box.bottom - box.top) * (v - spans[1][0])) / (spans[1][1] - spans[1][0]);
    const at = (v) => [x(v[0]), y(v[1])], [ax, ay] = at(answer), [sx, sy] = at(sure);
    chart.node.replaceChildren(axes({ box, x, y, xTicks: ticks(low, high, some), yTicks, xText: (v) => minus(String(v)), yText: (v) => minus(String(v)), xTitle: flat ? "value" : "" }),
      ...values.map((v, s) => svg("path", { class: "lmw-pull", d: `M${ax},${ay}L${at(v).join()}`, "stroke-width": (0.4 + 8 * weights[s]).toFixed(2) })),
      ...values.flatMap((v, s) => { const [px, py] = at(v); return [svg("circle", { class: "lmw-share-disc", cx: px, cy: py, r: disc(weights[s]) }), svg("path", { class: "lmw-key-ring", d: RING, transform: `translate(${px},${py})` }),
        flat ? null : nameAt(px, py, width, labels[s])].filter(Boolean); }),
      ...(flat ? rows(width).flatMap(({ text, x: middle, row, v }) => [svg("path", { class: "lmw-leader", d: `M${middle},${head - 16 * row}L${x(v)},${head + 22}` }), svg("text", { class: "lmw-tick", x: middle, y: head - 16 * row - 4, "text-anchor": "middle" }, text)]) : []),
      svg("path", { class: "lmw-sure", d: DIAMOND, transform: `translate(${sx},${sy}) scale(1.5)` }), svg("path", { class: "lmw-answer", d: DIAMOND, transform: `translate(${ax},${ay})`, "data-answer": answer.join() }));
    chart.node.setAttribute("aria-label", `The answer is ${written(answer)}; the hard look-up gives ${written(sure)}.`);
  }
  return { node: chart.node, show, close: chart.close };
}

function render({ model, el }) {
  const keys = model.get("key_vectors"), values = model.get("value_vectors"), labels = model.get("labels"), reach = model.get("reach"), grain = model.get("grain"), hottest = model.get("hottest");
  const { body, say } = frame(model, el, "look-up", "Soft look-up", "drag the query from one key to another and watch the answer. Then cool it down: when does the soft look-up become a hard one?");
  const snap = (v) => Number((Math.round(clamp(v, -reach, reach) / grain) * grain).toPrecision(6));
  const move = (point) => write(model, { query: point.map((v) => clamp(snap(v), -reach, reach)) });
  const nudge = (way, far) => move(model.get("query").map((v, i) => v + way[i] * grain * (far ? 50 : 5)));
  const places = DECADE * (Math.log10(hottest) - COLDEST) + 1;
  const heat = (place) => (place === 0 ? 0 : Number((10 ** (COLDEST + (place - 1) / DECADE)).toPrecision(2)));
  const placeOf = (t) => (t <= 0 ? 0 : clamp(Math.round((Math.log10(t) - COLDEST) * DECADE) + 1, 1, places));
  const set = (t) => write(model, { temperature: clamp(t, 0, hottest) });

  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; cool.textContent = "▶ Cool down"; };
  const cool = button("▶ Cool down", () => {
    if (timer !== null) return stop();
    if (placeOf(model.get("temperature")) === 0) set(hottest);
    cool.textContent = "❚❚ Pause";
    timer = setInterval(() => { const place = Math.max(0, placeOf(model.get("temperature")) - 2); if (!el.isConnected) return stop(); set(heat(place)); if (place === 0) stop(); }, 250);
  }, { class: "lmw-primary" });
  const hardButton = button("Hard look-up", () => { stop(); set(0); });
  const pick = select("Put the query on", ["…", ...labels, "the middle (0; 0)"], (i) => { if (i) move(i > labels.length ? [0, 0] : keys[i - 1]); });
  const numbered = (text, onchange) => { const it = slider(text, onchange), value = h("span", { class: "lmw-set", "aria-hidden": "true" }); it.node.querySelector("label").append(" ", value); return { ...it, value }; };
  const sliders = [0, 1].map((d) => numbered(`Query, number ${d + 1}`, (v) => move(model.get("query").map((old, i) => (i === d ? v : old)))));
  for (const { input } of sliders) Object.assign(input, { min: -reach, max: reach, step: grain });
  const heater = numbered("Temperature τ", (place) => { stop(); set(heat(place)); });
  Object.assign(heater.input, { min: 0, max: places, step: 1 });

  const field = keyPlane({ keys, labels, reach, move, nudge }), plot = valuePlot({ values, labels }), rows = h("tbody"), numbers = h("div", { class: "lmw-facts lmw-lab-facts" });
  const table = h("table", { class: "lmw-table lmw-scores" }, h("caption", { class: "lmw-hidden" }, "Scores and weights of the keys"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Key"), h("td", {}),
    ...["score q·k", "weight", "value"].map((text) => h("th", { scope: "col" }, text)))), rows);
  body.append(controls(pick.node, hardButton, cool), controls(...sliders.map((it) => it.node), heater.node),
    h("div", { class: "lmw-halves lmw-attention" }, h("div", {}, h("p", { class: "lmw-caption" }, "Keys and the query"), field.node), h("div", {}, h("p", { class: "lmw-caption" }, "Values and the answer"), plot.node,
      h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" }, h("span", {}, h("i", { class: "lmw-diamond" }), "answer"), h("span", {}, h("i", { class: "lmw-diamond lmw-hollow" }), "hard look-up"), h("span", {}, "the area of a disc is the weight")))), table, numbers);

  const done = follow(model, ["query", "temperature"], () => {
    const query = model.get("query"), temperature = clamp(model.get("temperature"), 0, hottest), found = lookUp({ keys, values, query, temperature }), { scores, weights, answer, sure, winners } = found;
    sliders.forEach((it, d) => { it.input.value = query[d]; it.value.textContent = `= ${round(query[d])}`; it.input.setAttribute("aria-valuetext", round(query[d])); });
    const hot = temperature === 0 ? "0, hard" : round(temperature);
    heater.input.value = placeOf(temperature);
    heater.value.textContent = `= ${hot}`;
    heater.input.setAttribute("aria-valuetext", hot);
    hardButton.disabled = temperature === 0;
    pick.input.selectedIndex = 0;
    field.show({ query, weights, winners });
    plot.show({ weights, answer, sure });
    rows.replaceChildren(...labels.map((label, s) => h("tr", { class: winners[s] ? "lmw-came" : "", "data-score": scores[s], "data-weight": weights[s] }, h("th", { scope: "row" }, label),
      h("td", { class: "lmw-bars" }, bar("model", weights[s])), h("td", { class: "lmw-number" }, round(scores[s])), h("td", { class: "lmw-number" }, percent(weights[s])), h("td", { class: "lmw-number" }, written(values[s])))));
    const over = breadth(weights), top = best(weights), names = labels.filter((_, s) => winners[s]);
    numbers.replaceChildren(...facts({
      answer: ["Answer, the weighted mean", written(answer), answer.join()],
      hard: ["Hard look-up", written(sure), sure.join()],
      breadth: ["As if spread evenly over", over < 1.005 ? "1 key" : `${over.toFixed(2)} keys`, over],
    }));
    say(`The query (${query.map((v) => round(v)).join("; ")}) fits ${names.length === 1 ? `“${names[0]}” best` : `${names.map((name) => `“${name}”`).join(" and ")} equally well`}. At temperature ${hot} `
      + `${names.length === 1 ? "it" : "each of them"} gets ${percent(weights[top])} of the weight, and the answer is ${written(answer)}; the hard look-up answers ${written(sure)}.`);
  });
  return () => { stop(); done(); field.close(); plot.close(); };
}

export default { render };
