// What the two figures of patches share: greyscale images, weights as squares over their patches, a row of images to choose from.
import { array, arrowKeys, button, clamp, h, percent, svg, u16 } from "./draw.mjs";

const SIDE = 100, SMALL = 10; // units: a patch in the large picture, in a small one
const [MEAN, ROLLOUT] = [-1, -2];
export const HEADS = { MEAN, ROLLOUT };

/** The images of a model as addresses of pictures. */
export function pictures(model) {
  const [height, width] = model.get("size"), bytes = array(Uint8Array, model.get("pixels")), area = height * width;
  return Array.from({ length: bytes.length / area }, (_, n) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height }), context = canvas.getContext("2d"), data = context.createImageData(width, height);
    for (let i = 0; i < area; i++) data.data.set([bytes[n * area + i], bytes[n * area + i], bytes[n * area + i], 255], 4 * i);
    context.putImageData(data, 0, 0);
    return canvas.toDataURL("image/png");
  });
}

/** The weights of one image after the other: `row(n, layer, head, query)`, for head −1 the mean over the heads, for head −2 rollout.
    `queries[n]` is how many queries image n has, `S` how many keys. */
export function weightsOf(model, queries, S) {
  const flat = u16(model.get("weights")), layers = model.get("layers"), heads = model.get("heads"), levels = model.get("levels");
  const starts = queries.map((_, n) => queries.slice(0, n).reduce((sum, T) => sum + layers * heads * T * S, 0)), rolled = new Map();
  const at = (n, l, k, t) => starts[n] + ((l * heads + k) * queries[n] + t) * S;
  const one = (n, l, k, t) => Array.from(flat.subarray(at(n, l, k, t), at(n, l, k, t) + S), (w) => w / levels);
  function mean(n, l, t) {
    const sum = new Array(S).fill(0);
    for (let k = 0; k < heads; k++) for (let s = 0, from = at(n, l, k, t); s < S; s++) sum[s] += flat[from + s];
    return sum.map((x) => x / levels / heads);
  }
  /** Abnar & Zuidema: the product over the layers up to l of half the mean of the heads and half the identity. */
  function rollout(n, l) {
    const id = `${n} ${l}`;
    if (!rolled.has(id)) {
      const before = l ? rollout(n, l - 1) : null;
      rolled.set(id, Array.from({ length: S }, (_, t) => {
        const own = mean(n, l, t).map((w, s) => (w + (s === t ? 1 : 0)) / 2), out = new Array(S).fill(0);
        if (!before) return own;
        own.forEach((w, m) => { for (let s = 0; s < S; s++) out[s] += w * before[m][s]; });
        return out;
      }));
    }
    return rolled.get(id);
  }
  return (n, l, k, t) => (k === ROLLOUT ? rollout(n, l)[t] : k === MEAN ? mean(n, l, t) : one(n, l, k, t));
}

/** The name of key s where [CLS], if it is among them, stands first. */
export const keyName = (s, { across, cls }) => (cls && s === 0 ? "[CLS]" : `the patch in row ${Math.floor((s - cls) / across) + 1}, column ${((s - cls) % across) + 1}`);
/** The keys with the largest weights: the first, and up to two more with at least half of its weight. */
export const largest = (row) => row.map((_, s) => s).sort((a, b) => row[b] - row[a]).slice(0, 3).filter((s, i, all) => row[s] >= row[all[0]] / 2);

const square = (x, y, edge) => `M${(x - edge / 2).toFixed(1)},${(y - edge / 2).toFixed(1)}h${edge.toFixed(1)}v${edge.toFixed(1)}h${(-edge).toFixed(1)}Z`;

/** All weights of one query as one small picture: a square per patch, its area in proportion to the weight, [CLS] above them. */
export function smallPicture(row, { down, across, cls }, query = null) {
  const top = Math.max(...row), lift = cls ? SMALL + 3 : 0, cells = [], mark = (s) => (cls && s === 0 ? [SMALL / 2, SMALL / 2] : [(((s - cls) % across) + 0.5) * SMALL, lift + (Math.floor((s - cls) / across) + 0.5) * SMALL]);
  row.forEach((w, s) => { const edge = Math.sqrt(w / top) * (SMALL - 1); if (edge >= 0.5) cells.push(square(...mark(s), edge)); });
  const asks = query === null ? null : mark(query);
  return svg("svg", { viewBox: `-1.5 -1.5 ${across * SMALL + 3} ${down * SMALL + lift + 3}`, "aria-hidden": "true" },
    svg("path", { class: "lmw-patch-edge", d: `M0,${lift}h${across * SMALL}v${down * SMALL}h${-across * SMALL}Z${cls ? `M0,0h${SMALL}v${SMALL}h${-SMALL}Z` : ""}` }), svg("path", { class: "lmw-weight", d: cells.join("") }),
    asks ? svg("path", { class: "lmw-patch-asks", d: square(...asks, SMALL) }) : null);
}

/** A picture of an image in patches. `choose(s)` is called for the patch that is pressed (`first` is the number of the first patch);
    without it nothing can be chosen. */
export function patchView({ down, across }, { first = 0, choose = null, peek = () => {}, label }) {
  const [W, H] = [across * SIDE, down * SIDE], image = svg("image", { width: W, height: H, preserveAspectRatio: "none", class: "lmw-pixels" }), layer = svg("g"), spots = svg("g");
  const picture = svg("svg", { class: "lmw-patch-picture", viewBox: `-4 -4 ${W + 8} ${H + 8}`, role: "img" }, image,
    svg("path", { class: "lmw-patch-grid", d: Array.from({ length: across + 1 }, (_, c) => `M${c * SIDE},0V${H}`).join("") + Array.from({ length: down + 1 }, (_, r) => `M0,${r * SIDE}H${W}`).join("") }), layer, spots);
  const node = choose ? h("div", { class: "lmw-patch-box", tabindex: 0, role: "group", "aria-label": label }, picture) : h("div", { class: "lmw-patch-box" }, picture);
  const corner = (i) => [(i % across) * SIDE, Math.floor(i / across) * SIDE];
  const pads = Array.from({ length: down * across }, (_, i) => {
    const title = svg("title"), pad = svg("rect", { class: choose ? "lmw-patch-pad lmw-patch-free" : "lmw-patch-pad", x: corner(i)[0], y: corner(i)[1], width: SIDE, height: SIDE, "data-patch": i }, title);
    if (choose) {
      pad.addEventListener("click", () => choose(first + i));
      pad.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") peek(first + i); });
    }
    return { pad, title };
  });
  spots.append(...pads.map(({ pad }) => pad));
  node.addEventListener("pointerleave", () => peek(null));
  /** Draw: `weights` of the patches with `top` as the largest of all, `asks` the place of a marked patch, `numbers` whether to write them. */
  function show({ url, name, weights = null, top = 1, asks = -1, numbers = false }) {
    image.setAttribute("href", url);
    picture.setAttribute("aria-label", name);
    layer.replaceChildren(...(weights ?? []).flatMap((w, i) => {
      const [x, y] = corner(i), edge = Math.sqrt(w / top) * (SIDE - 6), inset = (SIDE - edge) / 2;
      return [svg("rect", { class: "lmw-heat", x, y, width: SIDE, height: SIDE, opacity: (0.5 * w) / top }), svg("rect", { class: "lmw-heat-square", x: x + inset, y: y + inset, width: edge, height: edge, "data-value": w })];
    }), ...(asks >= 0 ? [svg("path", { class: "lmw-asks-out", d: square(corner(asks)[0] + SIDE / 2, corner(asks)[1] + SIDE / 2, SIDE) }), svg("path", { class: "lmw-asks", d: square(corner(asks)[0] + SIDE / 2, corner(asks)[1] + SIDE / 2, SIDE) })] : []),
    ...(numbers && weights ? weights.map((w, i) => svg("text", { class: "lmw-heat-number", x: corner(i)[0] + SIDE / 2, y: corner(i)[1] + SIDE / 2 + 12, "text-anchor": "middle" }, (100 * w).toFixed(w < 0.0995 ? 1 : 0))) : []));
    pads.forEach(({ title }, i) => { title.textContent = `row ${Math.floor(i / across) + 1}, column ${(i % across) + 1}${weights ? `: ${percent(weights[i])}` : ""}`; });
  }
  return { node, show };
}

/** Arrow keys go from patch to patch in both directions; Home and End go to the first and to the last number. */
export function gridKeys(node, { across, first, last }, now, choose) {
  node.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key], edge = { Home: 0, End: last }[event.key];
    if ((by === undefined && edge === undefined) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const s = now();
    if (edge !== undefined) choose(edge);
    else if (s < first) choose(first);
    else if (Math.abs(by) === 1 ? Math.floor((s - first + by) / across) === Math.floor((s - first) / across) && s - first + by >= 0 : s + by >= first && s + by <= last) choose(s + by);
  });
}

/** A row of small images; `names[n]` says what each is, `marks[n]` stands under it. */
export function thumbnails({ urls, names, marks, size: [height, width] }, choose) {
  const items = urls.map((url, n) => button("", () => choose(n), { class: "lmw-thumb", tabindex: -1, title: names[n], "aria-label": names[n] }));
  items.forEach((item, n) => item.append(h("img", { src: urls[n], alt: "", class: "lmw-pixels", style: { "aspect-ratio": `${width} / ${height}` } }), h("span", { "aria-hidden": "true" }, marks[n])));
  const row = h("div", { class: "lmw-thumbs" }, items), node = h("div", { class: "lmw-scroller", tabindex: 0, role: "group", "aria-label": "Images. Arrow keys go from image to image." }, row);
  let now = 0;
  arrowKeys(node, (by) => choose(clamp(now + by, 0, urls.length - 1)));
  return { node, show(n) {
    now = n;
    items.forEach((item, i) => { if (i === n) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current"); });
    const it = items[n], low = it.offsetLeft - 12, high = it.offsetLeft + it.offsetWidth + 12 - node.clientWidth;
    node.scrollLeft = Math.min(low, Math.max(high, node.scrollLeft));
  } };
}
