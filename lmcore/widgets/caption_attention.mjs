// Caption attention: which patches of an image each word of its caption was written from.
import { breadth } from "./attention.mjs";
import { arrowKeys, button, checkbox, clamp, controls, facts, follow, frame, h, percent, select, write } from "./draw.mjs";
import { HEADS, keyName, largest, patchView, pictures, smallPicture, thumbnails, weightsOf } from "./patches.mjs";

function render({ model, el }) {
  const [down, across] = model.get("grid"), S = model.get("sources"), layers = model.get("layers"), heads = model.get("heads"), captions = model.get("captions"), references = model.get("references");
  const grid = { down, across, cls: S - down * across };
  const { body, say } = frame(model, el, "captions", "Caption attention", "guess, before you look, where in the image the model looks for each word. Which words need no image at all?");
  const urls = pictures(model), row = weightsOf(model, captions.map((words) => words.length), S), columns = [...Array(heads).keys(), ...(heads > 1 ? [HEADS.MEAN] : [])];
  const imageNow = () => clamp(model.get("image"), 0, captions.length - 1), wordNow = () => clamp(model.get("word"), 0, captions[imageNow()].length - 1), layerNow = () => clamp(model.get("layer"), 0, layers - 1);
  const headNow = () => { const k = clamp(model.get("head"), HEADS.MEAN, heads - 1); return k === HEADS.MEAN && heads === 1 ? 0 : k; };
  let peeked = null;
  const choose = (t) => { peeked = null; write(model, { word: clamp(t, 0, captions[imageNow()].length - 1) }); };
  const peek = (t) => { if (t === peeked) return; peeked = t; draw(); };
  const short = (words) => `${words.slice(0, 3).join(" ")}${words.length > 3 ? " …" : ""}`;

  const thumbs = thumbnails({ urls, size: model.get("size"), marks: captions.map(short), names: captions.map((words, n) => `image ${n + 1}: ${words.join(" ")}`) },
    (n) => { peeked = null; write(model, { image: n, word: Math.min(wordNow(), captions[n].length - 1) }); });
  const pickLayer = select("Layer", Array.from({ length: layers }, (_, l) => `${l + 1}`), (l) => write(model, { layer: l }));
  const pickHead = select("Head", columns.map((k) => (k === HEADS.MEAN ? "mean of all" : `${k + 1}`)), (i) => write(model, { head: columns[i] }));
  const pickNumbers = checkbox("numbers, in per cent", (on) => write(model, { numbers: on }));
  const back = button("◀ Back", () => choose(wordNow() - 1)), next = button("Next word ▶", () => choose(wordNow() + 1), { class: "lmw-primary" });
  const words = h("div", { class: "lmw-strip-words", tabindex: 0, role: "group", "aria-label": "Words of the caption. Arrow keys go from word to word." });
  arrowKeys(words, (by) => choose(wordNow() + by));
  words.addEventListener("pointerleave", () => peek(null));
  const looked = patchView(grid, {}), onCls = h("p", { class: "lmw-on-cls" }), heading = h("p", { class: "lmw-caption" }), right = h("p", { class: "lmw-note" }), numbers = h("div", { class: "lmw-facts lmw-row" });
  body.append(thumbs.node, controls(back, next, layers > 1 ? pickLayer.node : null, heads > 1 ? pickHead.node : null, pickNumbers.node),
    h("div", { class: "lmw-halves lmw-attention lmw-patch-pair" }, h("div", {}, heading, looked.node, onCls), h("div", {}, h("p", { class: "lmw-caption" }, "The caption, and where each word looks"), words, right)), numbers);

  let of = "", buttons = [];
  function drawWords(n, l, k) {
    const id = `${n} ${l} ${k}`;
    if (id === of) return;
    of = id;
    buttons = captions[n].map((word, t) => {
      const it = button("", () => choose(t), { class: "lmw-strip-word", tabindex: -1, onpointerenter: (event) => { if (event.pointerType === "mouse") peek(t); } });
      it.append(smallPicture(row(n, l, k, t), grid), h("span", {}, word));
      return it;
    });
    words.replaceChildren(...buttons);
    right.textContent = references.length ? `A right caption: ${references[n]}` : "";
    right.hidden = !references.length;
  }

  function draw() {
    const n = imageNow(), l = layerNow(), k = headNow(), chosen = wordNow(), t = peeked !== null && peeked < captions[n].length ? peeked : chosen, weights = row(n, l, k, t), top = Math.max(...weights), word = captions[n][t];
    thumbs.show(n);
    pickLayer.input.selectedIndex = l;
    pickHead.input.selectedIndex = columns.indexOf(k);
    pickNumbers.input.checked = model.get("numbers");
    back.disabled = chosen === 0;
    next.disabled = chosen === captions[n].length - 1;
    drawWords(n, l, k);
    buttons.forEach((it, i) => { it.classList.toggle("lmw-now", i === t); if (i === chosen) it.setAttribute("aria-current", "true"); else it.removeAttribute("aria-current"); });
    heading.textContent = `“${word}” looks here`;
    looked.show({ url: urls[n], name: `What the word “${word}” looks at: squares over the patches, in proportion to the weight.`, weights: weights.slice(grid.cls), top, numbers: model.get("numbers") });
    onCls.hidden = !grid.cls;
    if (grid.cls) onCls.replaceChildren(h("span", { class: "lmw-cls-well", "aria-hidden": "true" }, h("i", { style: { width: `${100 * Math.sqrt(weights[0] / top)}%`, height: `${100 * Math.sqrt(weights[0] / top)}%` } })), h("span", { "data-cls": weights[0] }, `on [CLS]: ${percent(weights[0])}`));
    const most = weights.indexOf(top), spread = breadth(weights);
    numbers.replaceChildren(...facts({ most: ["looks most at", keyName(most, grid).replace("the patch in ", ""), most], top: ["with the weight", percent(top), top], spread: [`spread as if evenly over, of ${S}`, spread.toFixed(1), spread] }));
    if (t !== chosen) return;
    say(`Image ${n + 1} of ${captions.length}, “${captions[n].join(" ")}”. Word ${chosen + 1} of ${captions[n].length}, “${word}”, looks most at ${largest(weights).map((s) => `${keyName(s, grid)} (${percent(weights[s])})`).join(", ")}. Its weight is spread as if evenly over ${spread.toFixed(1)} of ${S} places.`);
  }
  return follow(model, ["image", "word", "layer", "head", "numbers"], draw);
}

export default { render };
