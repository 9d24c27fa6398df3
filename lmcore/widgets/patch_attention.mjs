// Patch attention: where every patch of an image and [CLS] look, in each layer and head of a vision Transformer.
import { breadth } from "./attention.mjs";
import { bar, button, checkbox, clamp, controls, f32, facts, follow, frame, h, percent, select, write } from "./draw.mjs";
import { gridKeys, HEADS, keyName, largest, patchView, pictures, smallPicture, thumbnails, weightsOf } from "./patches.mjs";

const SHOWN = 10; // classes

function render({ model, el }) {
  const [height, width] = model.get("size"), [down, across] = model.get("grid"), N = down * across, T = N + 1, layers = model.get("layers"), heads = model.get("heads");
  const labels = model.get("labels"), classes = model.get("classes"), flat = f32(model.get("probabilities")), K = classes.length, grid = { down, across, cls: 1 }, side = height / down;
  const { body, say } = frame(model, el, "patches", "Patch attention", "choose a patch on the object and one on the background. Which heads look nearby, which look for what belongs together, and which always at the same patch?");
  const urls = pictures(model), row = weightsOf(model, labels.map(() => T), T), chances = labels.map((_, n) => Array.from(flat.subarray(n * K, (n + 1) * K)));
  const guesses = chances.map((p) => p.indexOf(Math.max(...p))), columns = [...Array(heads).keys(), ...(heads > 1 ? [HEADS.MEAN] : []), HEADS.ROLLOUT];
  const imageNow = () => clamp(model.get("image"), 0, labels.length - 1), layerNow = () => clamp(model.get("layer"), 0, layers - 1), queryNow = () => clamp(model.get("query"), 0, N);
  const headNow = () => { const k = clamp(model.get("head"), HEADS.ROLLOUT, heads - 1); return k === HEADS.MEAN && heads === 1 ? 0 : k; };
  const nameOf = (l, k) => (k === HEADS.ROLLOUT ? `rollout up to layer ${l + 1}` : `layer ${l + 1}, ${k === HEADS.MEAN ? "mean of all heads" : `head ${k + 1}`}`);
  let peeked = null;
  const choose = (s) => { peeked = null; write(model, { query: clamp(s, 0, N) }); };
  const peek = (s) => { if (s === peeked) return; peeked = s; draw(); };
  const goTo = (l, k) => write(model, { layer: clamp(l, 0, layers - 1), head: k });

  const thumbs = thumbnails({ urls, size: [height, width], marks: labels.map((label, n) => `${classes[guesses[n]]} ${guesses[n] === label ? "✓" : "✗"}`),
    names: labels.map((label, n) => `image ${n + 1}: true class ${classes[label]}, predicted ${classes[guesses[n]]}`) }, (n) => { peeked = null; write(model, { image: n }); });
  const pickLayer = select("Layer", Array.from({ length: layers }, (_, l) => `${l + 1}`), (l) => goTo(l, headNow()));
  const pickHead = select("Head", columns.map((k) => (k === HEADS.ROLLOUT ? "rollout through the layers" : k === HEADS.MEAN ? "mean of all" : `${k + 1}`)), (i) => goTo(layerNow(), columns[i]));
  const pickNumbers = checkbox("numbers, in per cent", (on) => write(model, { numbers: on }));

  const asking = patchView(grid, { first: 1, choose, peek, label: "Patches that can look. Arrow keys go from patch to patch, Home to [CLS]." }), looked = patchView(grid, { first: 1 });
  gridKeys(asking.node, { across, first: 1, last: N }, queryNow, choose);
  const cls = button("[CLS]", () => choose(0), { class: "lmw-cls", onpointerenter: (event) => { if (event.pointerType === "mouse") peek(0); }, onpointerleave: () => peek(null) });
  const onCls = h("p", { class: "lmw-on-cls" }), heading = h("p", { class: "lmw-caption" });
  const pair = h("div", { class: "lmw-halves lmw-attention lmw-patch-pair" }, h("div", {}, h("p", { class: "lmw-caption" }, "Choose the patch that looks"), asking.node, h("p", { class: "lmw-on-cls" }, cls)), h("div", {}, heading, looked.node, onCls));

  const tiles = new Map();
  const wall = h("div", { class: "lmw-wall", style: { "--lm-columns": columns.length } }, h("span", { class: "lmw-corner" }, "layer"), columns.map((k) => h("span", { class: "lmw-column" }, k === HEADS.ROLLOUT ? "rollout" : k === HEADS.MEAN ? "mean" : `${k + 1}`)),
    Array.from({ length: layers }, (_, l) => [h("span", { class: "lmw-line" }, `${l + 1}`), ...columns.map((k) => {
      const it = button("", () => goTo(l, k), { class: "lmw-tile", tabindex: -1, title: nameOf(l, k), "aria-label": nameOf(l, k) });
      tiles.set(`${l} ${k}`, it);
      return it;
    })]).flat());
  const scroller = h("div", { class: "lmw-scroller", tabindex: 0, role: "group", "aria-label": "All heads, a row for each layer. Arrow keys go from head to head." }, wall);
  scroller.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    goTo(layerNow() + way[0], columns[clamp(columns.indexOf(headNow()) + way[1], 0, columns.length - 1)]);
  });
  const numbers = h("div", { class: "lmw-facts lmw-six" }), table = h("tbody");
  const predicted = h("div", {}, h("p", { class: "lmw-caption" }, K > SHOWN ? `Predicted: the ${SHOWN} most probable of ${K} classes` : "Predicted"), h("table", {}, h("caption", { class: "lmw-hidden" }, "Predicted probability of every class"), table));
  body.append(thumbs.node, controls(pickLayer.node, pickHead.node, pickNumbers.node), pair, h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" },
    h("span", {}, h("i", { class: "lmw-key-asks" }), "the patch that looks"), h("span", {}, h("i", { class: "lmw-key-heat" }), "what it looks at: the larger the weight, the larger and brighter; the largest weight fills its patch")), numbers,
    h("div", {}, h("p", { class: "lmw-caption" }, "All heads, for the same image and the same patch (small square above: [CLS])"), scroller), predicted);

  /** The mean distance from the middle of the asking patch to the middles of those it looks at, in pixels; nothing for [CLS]. */
  function distance(weights, query) {
    if (query === 0) return null;
    const place = (s) => [Math.floor((s - 1) / across), (s - 1) % across], [r, c] = place(query);
    let sum = 0, all = 0;
    for (let s = 1; s < T; s++) { const [i, j] = place(s); sum += weights[s] * Math.hypot(i - r, j - c) * side; all += weights[s]; }
    return all > 0 ? sum / all : null;
  }

  let wallOf = "";
  function drawWall(n, query) {
    const id = `${n} ${query}`;
    if (id !== wallOf) for (const l of Array(layers).keys()) for (const k of columns) tiles.get(`${l} ${k}`).replaceChildren(smallPicture(row(n, l, k, query), grid, query));
    wallOf = id;
    for (const [name, it] of tiles) if (name === `${layerNow()} ${headNow()}`) it.setAttribute("aria-current", "true"); else it.removeAttribute("aria-current");
    const it = tiles.get(`${layerNow()} ${headNow()}`), low = it.offsetLeft - 40, high = it.offsetLeft + it.offsetWidth + 8 - scroller.clientWidth;
    scroller.scrollLeft = Math.min(low, Math.max(high, scroller.scrollLeft));
  }

  function drawClasses(n) {
    const p = chances[n], order = [...p.keys()].sort((a, b) => p[b] - p[a]), listed = K > SHOWN ? order.slice(0, SHOWN) : [...p.keys()];
    if (!listed.includes(labels[n])) listed.push(labels[n]);
    table.replaceChildren(...listed.map((k) => h("tr", { class: k === guesses[n] ? "lmw-came" : "", "data-class": k, "data-value": p[k] }, h("th", { scope: "row" }, classes[k], k === labels[n] ? h("span", { class: "lmw-flag" }, " (true)") : null),
      h("td", { class: "lmw-bars" }, bar("model", p[k])), h("td", { class: "lmw-number" }, percent(p[k])))));
  }

  let classesOf = -1;
  function draw() {
    const n = imageNow(), l = layerNow(), k = headNow(), chosen = queryNow(), query = peeked ?? chosen, weights = row(n, l, k, query), top = Math.max(...weights), name = nameOf(l, k), who = keyName(query, grid);
    thumbs.show(n);
    pickLayer.input.selectedIndex = l;
    pickHead.input.selectedIndex = columns.indexOf(k);
    pickNumbers.input.checked = model.get("numbers");
    asking.show({ url: urls[n], name: `Image ${n + 1} in ${down} rows of ${across} patches; ${who} looks.`, asks: query - 1 });
    looked.show({ url: urls[n], name: `What ${who} looks at in ${name}: squares over the patches, in proportion to the weight.`, weights: weights.slice(1), top, asks: query - 1, numbers: model.get("numbers") });
    cls.setAttribute("aria-pressed", query === 0);
    heading.textContent = `${name[0].toUpperCase()}${name.slice(1)}: where it looks`;
    const edge = Math.sqrt(weights[0] / top);
    onCls.replaceChildren(h("span", { class: "lmw-cls-well", "aria-hidden": "true" }, h("i", { style: { width: `${100 * edge}%`, height: `${100 * edge}%` } })), h("span", { "data-cls": weights[0] }, `on [CLS]: ${percent(weights[0])}`));
    const most = weights.indexOf(top), spread = breadth(weights), far = distance(weights, query);
    numbers.replaceChildren(...facts({
      most: ["looks most at", most === query ? "itself" : keyName(most, grid).replace("the patch in ", ""), most], top: ["with the weight", percent(top), top], own: [query ? "weight on itself" : "[CLS] on itself", percent(weights[query]), weights[query]],
      cls: ["weight on [CLS]", percent(weights[0]), weights[0]], spread: [`spread as if evenly over, of ${T}`, spread.toFixed(1), spread], distance: ["mean distance, pixels", far === null ? "none" : far.toFixed(1), far ?? ""],
    }));
    drawWall(n, query);
    if (classesOf !== n) { drawClasses(n); classesOf = n; }
    if (query !== chosen) return;
    say(`Image ${n + 1} of ${labels.length}, true class ${classes[labels[n]]}, predicted ${classes[guesses[n]]} (${percent(chances[n][guesses[n]])}). ${name[0].toUpperCase()}${name.slice(1)}: ${who} looks most at ${largest(weights).map((s) => `${s === query ? "itself" : keyName(s, grid)} (${percent(weights[s])})`).join(", ")}. `
      + `Its weight is spread as if evenly over ${spread.toFixed(1)} of ${T} places.`);
  }
  return follow(model, ["image", "layer", "head", "query", "numbers"], draw);
}

export default { render };
