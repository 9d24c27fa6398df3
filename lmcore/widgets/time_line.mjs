// Time line: models by the month of their paper and their number of parameters; what each of them brought.
import { arrowKeys, button, clamp, follow, frame, h, svg, write } from "./draw.mjs";
import { axes, plane } from "./plot.mjs";

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const KINDS = { "encoder-decoder": "encoder and decoder", encoder: "encoder alone", decoder: "decoder alone" };
const SHAPES = { "encoder-decoder": "M-6,-6H6V6H-6Z", encoder: "M0,-8L8,0L0,8L-8,0Z", decoder: "M-6.5,0A6.5,6.5 0 1 0 6.5,0A6.5,6.5 0 1 0 -6.5,0Z" };
const SIZES = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];
const inWords = (n) => { const [size, name] = SIZES.find(([s]) => n >= s) ?? [1, ""]; return `${Number((n / size).toPrecision(3))} ${name}`.trim(); };
const short = (n) => inWords(n).replace(/ (\w)\w+$/, (_, letter) => "\u202f" + { t: "T", b: "B", m: "M" }[letter]);
const mark = (kind) => svg("path", { class: `lmw-epoch lmw-epoch-${kind}`, d: SHAPES[kind] });

function render({ model, el }) {
  const events = model.get("milestones"), kinds = Object.keys(KINDS).filter((kind) => events.some((e) => e.kind === kind));
  const { body, say } = frame(model, el, "time-line", "Time line", "go from one model to the next. What was new each time: the network, the task it was trained on, or its size?");
  const at = ({ year, month }) => year + (month - 0.5) / 12, when = ({ year, month }) => `${MONTHS[month - 1]} ${year}`;
  const to = (i) => write(model, { chosen: clamp(i, 0, events.length - 1) });
  const back = svg("g"), marks = svg("g"), names = svg("g", { class: "lmw-labels", "aria-hidden": "true" });
  const chart = plane((width) => (width < 420 ? 300 : 330), { role: "img", "aria-label": model.get("alt") }, () => draw());
  chart.node.append(back, marks, names);
  const list = h("ol", { class: "lmw-epochs", "aria-label": "Models in the order of time" }), buttons = events.map(({ name, year }, i) => button(name, () => to(i), { "aria-label": `${name}, ${year}` }));
  list.append(...buttons.map((node, i) => h("li", {}, h("span", { "aria-hidden": "true" }, String(events[i].year)), node)));
  arrowKeys(list, (step) => { to(model.get("chosen") + step); queueMicrotask(() => buttons[model.get("chosen")].focus()); });
  const card = h("div", { class: "lmw-epoch-card" }), key = h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" },
    kinds.map((kind) => h("span", {}, svg("svg", { width: 20, height: 20, viewBox: "-10 -10 20 20" }, mark(kind)), KINDS[kind])));
  body.append(h("div", {}, h("p", { class: "lmw-caption" }, "Parameters of the largest model of each paper, as published"), chart.node, key), list, card);

  function draw() {
    const chosen = clamp(model.get("chosen"), 0, events.length - 1), { width, height } = chart.size, box = { left: 46, right: width - 14, top: 22, bottom: height - 42 };
    const first = Math.floor(at(events[0])), last = Math.ceil(at(events.at(-1))), sizes = events.map((e) => Math.log10(e.parameters));
    const low = Math.floor(Math.min(...sizes) - 0.15), high = Math.max(low + 1, Math.ceil(Math.max(...sizes) + 0.15));
    const x = (year) => box.left + ((box.right - box.left) * (year - first)) / (last - first), y = (n) => box.bottom - ((box.bottom - box.top) * (Math.log10(n) - low)) / (high - low);
    const every = Math.max(1, Math.ceil((last - first) / (width < 420 ? 5 : 10))), xTicks = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((year) => (year - first) % every === 0);
    back.replaceChildren(axes({ box, x, y, xTicks, yTicks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)), yText: short, xTitle: "year of the paper" }),
      events.some((e) => e.kind === "decoder") ? svg("path", { class: "lmw-epoch-line", d: `M${events.filter((e) => e.kind === "decoder").map((e) => `${x(at(e)).toFixed(1)},${y(e.parameters).toFixed(1)}`).join("L")}` }) : "");
    marks.replaceChildren(...events.map((e, i) => svg("g", { class: i === chosen ? "lmw-epoch-mark lmw-chosen" : "lmw-epoch-mark", "data-name": e.name, "data-x": at(e), "data-y": e.parameters, transform: `translate(${x(at(e))},${y(e.parameters)})`, onclick: () => to(i) },
      svg("circle", { class: "lmw-hit", r: 14 }), mark(e.kind), svg("title", {}, `${e.name}, ${when(e)}`))));
    const taken = events.map((e) => [x(at(e)) - 8, y(e.parameters) - 8, x(at(e)) + 8, y(e.parameters) + 8]), free = (a) => a[0] >= box.left + 2 && a[2] <= width - 1 && taken.every((b) => a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1]);
    names.replaceChildren(...[chosen, ...events.keys()].filter((i, n) => n === 0 || i !== chosen).map((i) => { // the chosen one has first choice
      const e = events[i], half = e.name.length * (i === chosen ? 4.1 : 3.5), [px, py] = [x(at(e)), y(e.parameters)], away = i === chosen ? 27 : 22;
      const near = clamp(px, box.left + half + 3, width - half - 2), level = [py - away + 4, py + away + 4]; // above and below, moved into the picture
      const places = [...level.map((v) => [near, v]), ...level.flatMap((v) => [[px + 8 - half, v], [px - 8 + half, v]]), [px + half + away - 8, py + 4], [px - half - away + 8, py + 4]];
      const place = places.find(([cx, cy]) => free([cx - half, cy - 11, cx + half, cy + 3])) ?? (i === chosen ? places[0] : null);
      if (!place) return ""; // no room: its button says its name
      taken.push([place[0] - half, place[1] - 11, place[0] + half, place[1] + 3]);
      return svg("text", { class: i === chosen ? "lmw-important" : null, x: place[0], y: place[1], "text-anchor": "middle" }, e.name);
    }));
    const e = events[chosen];
    buttons.forEach((node, i) => (i === chosen ? node.setAttribute("aria-current", "true") : node.removeAttribute("aria-current")));
    const rows = { Paper: when(e), Network: KINDS[e.kind], Parameters: inWords(e.parameters), "Trained on": e.data };
    card.replaceChildren(h("p", { class: "lmw-epoch-name" }, e.name), h("p", {}, e.brought),
      h("dl", {}, Object.entries(rows).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", { "data-fact": name }, text)))),
      h("p", { class: "lmw-note" }, e.source, e.url ? [". ", h("a", { href: e.url, rel: "noopener" }, `The paper of ${e.name}`)] : "", "."));
    say(`${e.name}, ${when(e)}: ${KINDS[e.kind]}, ${inWords(e.parameters)} parameters, ${chosen + 1} of ${events.length}.`);
  }
  const done = follow(model, ["chosen"], draw);
  return () => { done(); chart.close(); };
}

export default { render };
