// Architecture walk: the drawing, and for the part that is chosen its text, formula, code, shapes, parameters and mask.
import { button, checkbox, clamp, controls, facts, follow, frame, h, radios, select, slider, svg, write } from "./draw.mjs";
import { plane } from "./plot.mjs";
import { architecture, inOrder } from "./architecture_draw.mjs";

const NORMS = ["post", "pre"], NAMES = ["Post-norm", "Pre-norm"];
const WIDTHS = [32, 64, 128, 256, 512, 768, 1024, 2048];
const TRAITS = ["norm", "batch", "source", "target", "dim", "heads", "layers", "hidden", "source_length", "target_length", "causal"];
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** A formula in the small markup of the parts: a_{i} and a^{i}; a letter by itself is a variable. */
function math(text) {
  const node = h("span", { class: "lmw-math" });
  for (const [, mark, inner, letter, other] of text.matchAll(/([_^])\{([^}]*)\}|(?<!\p{L})(\p{L})(?!\p{L})|(.)/gsu)) {
    if (mark) node.append(h(mark === "_" ? "sub" : "sup", {}, math(inner)));
    else node.append(letter ? h("i", {}, letter) : other);
  }
  node.normalize();
  return node;
}

/** What a shape such as "B 3C F" is in numbers. */
const numbersOf = (shape, sizes) => shape.split(" ").map((symbol) => {
  const [, times, name] = symbol.match(/^(\d*)([A-Z])$/);
  return (times ? Number(times) : 1) * sizes[name];
});

/** Which query (row) may look at which key (column): `code` names the masks, `real` is how many keys are no padding. */
const maskOf = (code, queries, keys, real) => Array.from({ length: queries }, (_, t) => Array.from({ length: keys }, (_, s) =>
  (!code.includes("padding_mask") || s < real) && (!code.includes("causal_mask") || s <= t)));

/** A mask as squares: filled where a query may look, a cross where it may not. */
function maskView() {
  let last = null;
  const chart = plane(() => 120, { role: "img" }, () => last && show(last));
  function show(data) {
    last = data;
    const { mask, realQueries, realKeys } = data, rows = mask.length, columns = mask[0].length, { width } = chart.size;
    const left = 34, top = 40, cell = Math.max(12, Math.min(24, Math.floor((width - left - 4) / columns)));
    const height = top + rows * cell + 4;
    chart.node.setAttribute("height", height);
    chart.node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const number = (n, real) => (n < real ? n + 1 : "–");
    chart.node.replaceChildren(
      svg("text", { class: "lmw-axis-title", x: 0, y: 12 }, "queries ↓, keys →"),
      ...Array.from({ length: columns }, (_, s) => svg("text", { x: left + (s + 0.5) * cell, y: top - 5, "text-anchor": "middle", class: s < realKeys ? "" : "lmw-padding" }, number(s, realKeys))),
      ...mask.flatMap((row, t) => [svg("text", { x: left - 8, y: top + (t + 0.5) * cell + 4, "text-anchor": "end", class: t < realQueries ? "" : "lmw-padding" }, number(t, realQueries)),
        ...row.map((may, s) => svg("g", { class: `lmw-may-${may ? "look" : "not"}${t < realQueries ? "" : " lmw-unused"}`, "data-row": t, "data-column": s, "data-may": String(may), transform: `translate(${left + s * cell},${top + t * cell})` },
          svg("rect", { x: 1, y: 1, width: cell - 2, height: cell - 2, rx: 2 }),
          may ? null : svg("path", { d: `M${cell * 0.33},${cell * 0.33}L${cell * 0.67},${cell * 0.67}M${cell * 0.67},${cell * 0.33}L${cell * 0.33},${cell * 0.67}` })))]));
    const allowed = mask.flat().filter(Boolean).length;
    chart.node.setAttribute("aria-label", `Mask of ${rows} queries and ${columns} keys, ${allowed} of ${rows * columns} allowed. `
      + mask.map((row, t) => `Query ${t + 1}: ${row.some(Boolean) ? `keys 1 to ${row.lastIndexOf(true) + 1}` : "none"}`).join("; ") + ".");
    return allowed;
  }
  return { node: chart.node, show, close: chart.close };
}

/** A slider whose label shows its value. */
function numbered(label, onchange) {
  const shown = h("span", { class: "lmw-set", "aria-hidden": "true" }), it = slider(label, onchange);
  it.node.querySelector("label").append(" ", shown);
  return { ...it, show(value, max, text = String(value)) {
    it.input.min = 1;
    it.input.max = max;
    it.input.value = value;
    it.input.setAttribute("aria-valuetext", text);
    shown.textContent = text;
  } };
}

/** A select over numbers whose list may change. */
function numbers(label, onchange) {
  let options = [];
  const it = select(label, [], (i) => onchange(options[i]));
  return { ...it, show(value, list) {
    const wanted = [...new Set([...list, value])].sort((a, b) => a - b);
    if (wanted.join() !== options.join()) it.input.replaceChildren(...wanted.map((n) => h("option", {}, String(n))));
    options = wanted;
    it.input.selectedIndex = options.indexOf(value);
  } };
}

function render({ model, el }) {
  const parts = model.get("parts"), whole = model.get("part") === "whole", most = model.get("most"), [U, V] = model.get("vocabulary");
  const { body, say } = frame(model, el, "walk", whole ? "Architecture walk" : "Block walk", whole
    ? "go through the parts with ▶, or point at one. What is the mask of each of the three attentions? Which shapes change with the source, which with the target?"
    : "switch between post-norm and pre-norm. What moves in the drawing, in the formula, in the code? Then follow the thick line from bottom to top.");
  const first = { dim: model.get("dim"), ratio: model.get("hidden") / model.get("dim") };
  const norm = () => (model.get("norm") === "pre" ? "pre" : "post"), order = () => inOrder(parts, norm());
  const chosenNow = () => {
    const at = order(), wanted = model.get("chosen");
    return at.find((part) => part.id === wanted) ?? at[at.findIndex((part) => part.role === "attention")];
  };
  const step = (by) => { const at = order(), i = at.indexOf(chosenNow()); write(model, { chosen: at[clamp(i + by, 0, at.length - 1)].id }); };
  const set = (name) => (value) => write(model, { [name]: value });
  const long = (name) => (value) => write(model, { [name]: value, [`${name}_length`]: Math.min(model.get(`${name}_length`), value) });

  const norms = radios("Layer norm", NAMES, (i) => write(model, { norm: NORMS[i] }));
  const looks = checkbox("causal: no look ahead", (on) => write(model, { causal: on }));
  const sizes = { batch: numbered("Texts B", set("batch")), source: numbered("Source S", long("source")), target: numbered(whole ? "Target T" : "Tokens T", long("target")), layers: numbered("Blocks", set("layers")) };
  const dims = numbers("Width C", (dim) => write(model, { dim, heads: divisors(dim).filter((n) => n <= model.get("heads")).at(-1), hidden: Math.min(most.hidden, Math.max(1, Math.round((model.get("hidden") / model.get("dim")) * dim))) }));
  const heads = numbers("Heads H", set("heads")), hidden = numbers("Hidden F", set("hidden"));
  const divisors = (dim) => Array.from({ length: Math.min(dim, 32) }, (_, i) => i + 1).filter((n) => dim % n === 0);
  const lengths = { source: numbered("Real tokens, source", set("source_length")), target: numbered(whole ? "Real tokens, target" : "Real tokens", set("target_length")) };

  const drawing = architecture(parts, { whole, choose: (id) => write(model, { chosen: id }) }), mask = maskView();
  const back = button("◀", () => step(-1), { "aria-label": "Part below" }), next = button("▶", () => step(1), { "aria-label": "Part above", class: "lmw-primary" });
  const title = h("p", { class: "lmw-walk-title" }), where = h("p", { class: "lmw-note" }), out = h("p", { class: "lmw-walk-out" });
  const head = h("div", { class: "lmw-walk-head" }, back, h("div", { class: "lmw-walk-name" }, where, title, out), next);
  const text = h("p"), formula = h("div", { class: "lmw-formula" }), around = h("div", { class: "lmw-formula lmw-switched" }), code = h("pre", { class: "lmw-code", tabindex: 0, "aria-label": "Code" });
  const shapes = h("table", { class: "lmw-shapes" }), parameters = h("table", { class: "lmw-shapes" }), masked = h("div", { class: "lmw-masked" });
  const maskCode = h("pre", { class: "lmw-code", tabindex: 0, "aria-label": "Code of the mask" }), maskNote = h("p", { class: "lmw-note" }), lengthFields = h("div", { class: "lmw-controls" }, whole ? lengths.source.node : null, lengths.target.node);
  masked.append(h("p", { class: "lmw-caption" }, "Mask of one text: which query may look at which key"), mask.node, maskNote, maskCode, lengthFields);
  const side = h("div", { class: "lmw-walk-side" }, text, formula, around, code, shapes, parameters), totals = h("div", { class: "lmw-facts lmw-row" });
  body.append(controls(norms.node, whole ? null : looks.node),
    h("div", { class: "lmw-sizes" }, sizes.batch.node, whole ? sizes.source.node : null, sizes.target.node, whole ? sizes.layers.node : null, dims.node, heads.node, hidden.node),
    h("div", { class: "lmw-walk-columns" }, h("div", { class: "lmw-walk-drawing" }, drawing.node), head, side, masked), totals);

  const done = follow(model, [...TRAITS, "chosen"], () => {
    const now = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)])), part = chosenNow(), at = order();
    const values = { B: now.batch, S: now.source, T: now.target, C: now.dim, H: now.heads, D: now.dim / now.heads, F: now.hidden, U, V };
    const shapeOf = (shape) => numbersOf(shape, values).join(" × "), said = (given) => (typeof given === "object" && given ? given[norm()] : given);
    norms.show(NORMS.indexOf(norm()));
    looks.input.checked = now.causal;
    for (const name of ["batch", "source", "target", "layers"]) sizes[name].show(now[name], name === "batch" ? Math.max(8, now.batch) : name === "layers" ? Math.max(12, now.layers) : most[name]);
    for (const name of ["source", "target"]) lengths[name].show(now[`${name}_length`], now[name], `${now[`${name}_length`]} of ${now[name]}`);
    dims.show(now.dim, [...WIDTHS, first.dim]);
    heads.show(now.heads, divisors(now.dim));
    hidden.show(now.hidden, [1, 2, 3, 4, 8, first.ratio].map((n) => Math.max(1, Math.round(n * now.dim))).filter((n) => n <= most.hidden));
    drawing.show({ norm: norm(), chosen: part.id, layers: now.layers, shapeOf });

    const i = at.indexOf(part), place = part.place === "block" ? "Block" : capital(part.place);
    back.disabled = i === 0;
    next.disabled = i === at.length - 1;
    where.textContent = `${place} · ${i + 1} of ${at.length}`;
    title.textContent = part.title;
    out.textContent = `${shapeOf(part.out)} out`;
    out.dataset.out = numbersOf(part.out, values).join();
    text.textContent = said(part.text) + (now.causal && part.mask.includes("|") ? " The causal mask allows it to look back only." : "");
    formula.replaceChildren(...part.formula.map((line) => h("p", {}, math(line))));
    formula.hidden = !part.formula.length;
    around.replaceChildren(...(part.step ? [h("p", { class: "lmw-note" }, `The whole sublayer, ${NAMES[NORMS.indexOf(norm())].toLowerCase()}`), h("p", { "data-step": part.step[norm()] }, math(part.step[norm()]))] : []));
    around.hidden = !part.step;
    code.textContent = said(part.code) ?? "";
    code.hidden = !part.code;
    const row = (kind) => ([name, shape]) => h("tr", { [`data-${kind}`]: name, "data-numbers": numbersOf(shape, values).join() }, h("th", { scope: "row" }, kind === "parameter" ? h("code", {}, name) : name),
      h("td", { class: "lmw-math" }, shape.split(" ").flatMap((symbol, j) => [j ? " × " : "", h("i", {}, symbol)])), h("td", { class: "lmw-number" }, shapeOf(shape)));
    const heading = (name) => h("tr", { class: "lmw-row-title" }, h("th", { colspan: 3, scope: "colgroup" }, name));
    shapes.replaceChildren(h("tbody", {}, heading("Shapes"), part.shapes.map(row("shape"))));
    parameters.replaceChildren(h("tbody", {}, heading("Parameters"), part.parameters.map(row("parameter"))));
    parameters.hidden = !part.parameters.length;

    const spelled = part.mask.split("|")[now.causal && !whole && part.mask.includes("|") ? 1 : 0];
    masked.hidden = !part.mask;
    let allowed = "";
    if (part.mask) {
      const [, , queries, keys] = part.shapes.find(([name]) => name.startsWith("weights"))[1].split(" "), real = { S: now.source_length, T: now.target_length };
      const found = maskOf(spelled, values[queries], values[keys], real[keys]);
      const number = mask.show({ mask: found, realQueries: real[queries], realKeys: real[keys] });
      allowed = ` Of ${found.flat().length} pairs of a query and a key the mask allows ${number}.`;
      maskCode.textContent = `mask = ${spelled}`;
      maskNote.textContent = real[queries] < values[queries] ? "– is padding. What a padded query finds is used nowhere; its row is pale." : "";
      if (whole) lengths.source.node.hidden = queries !== "S" && keys !== "S";
      lengths.target.node.hidden = queries !== "T";
    }
    const each = (one) => one.parameters.reduce((sum, [, shape]) => sum + product(numbersOf(shape, values)), 0), layers = (one) => (one.repeated && whole ? now.layers : 1);
    const all = at.reduce((sum, one) => sum + layers(one) * each(one), 0), mine = layers(part) * each(part);
    totals.replaceChildren(...facts({
      all: [whole ? "Parameters of the model" : "Parameters of the block", count(all), all],
      part: ["In this part" + (part.repeated && whole && each(part) ? `, ${now.layers} times` : ""), count(mine), mine],
      head: ["Width of a head, D = C / H", String(values.D), values.D],
    }));
    say(`${place}, ${NAMES[NORMS.indexOf(norm())].toLowerCase()}. ${part.title}: ${shapeOf(part.out)} out.${allowed}`);
  });
  return () => { done(); drawing.close(); mask.close(); };
}

export default { render };
