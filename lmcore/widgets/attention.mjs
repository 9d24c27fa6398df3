// What the figures of attention share: weights from scores, lines from words to the words they look at, weights as squares.
import { arrowKeys, button, h, percent, svg } from "./draw.mjs";

/** Weights of one row of scores; a score of −∞ gets exactly 0. */
export function softmax(scores) {
  const most = Math.max(...scores), raised = scores.map((s) => Math.exp(s - most)), sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((e) => e / sum);
}
export const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
export const best = (weights) => weights.reduce((top, w, i) => (w > weights[top] ? i : top), 0);
/** Over how many words the weights are spread, 2 to the power of their entropy: 1 if all lies on one, S if they are equal. */
export const breadth = (weights) => Math.exp(-weights.reduce((sum, w) => sum + (w > 0 ? w * Math.log(w) : 0), 0));
/** Rows of a flat matrix. */
export const rowsOf = (flat, columns) => Array.from({ length: flat.length / columns }, (_, t) => Array.from(flat.slice(t * columns, (t + 1) * columns)));

const ROWS = [28, 25], CROWD = 20; // pixels: a word among lines, and among more lines than so many
const FAINT = 0.1; // weights below it get a line only when their word is chosen

/** Whether a text is too long for lines and matrix to stand side by side. */
export const crowded = (text) => Math.max(text.from.length, text.to.length) > CROWD;

/** Words on the left look at words on the right. `choose(t)` is called when one on the left is clicked or reached by arrow keys,
    `peek(t)` while the mouse is over it, `peek(null)` when it has left. */
export function linkView({ label, choose, peek }) {
  const from = h("div", { class: "lmw-from", tabindex: 0, role: "group", "aria-label": `${label}. Arrow keys go from word to word.` });
  const strands = svg("svg", { class: "lmw-strands", preserveAspectRatio: "none", "aria-hidden": "true" });
  const to = h("ul", { class: "lmw-to" });
  const heads = [h("p", { class: "lmw-caption" }), h("p", { class: "lmw-caption" })];
  const node = h("div", { class: "lmw-links" }, heads[0], heads[1], from, strands, to);
  let buttons = [], now = null, high = ROWS[0];
  arrowKeys(from, (by) => choose(now.chosen + by));
  node.addEventListener("pointerleave", () => peek(null));

  /** `text`: { from, to, languages, headings }; drawn again only when it changes. */
  function words(text) {
    if (now?.text === text) return;
    heads[0].textContent = text.headings[0];
    heads[1].textContent = text.headings[1];
    buttons = text.from.map((word, t) => button(word, () => choose(t), { class: "lmw-token", tabindex: -1, title: word, onpointerenter: (event) => { if (event.pointerType === "mouse") peek(t); } }));
    from.replaceChildren(...buttons);
    [from, to].forEach((side, i) => { if (text.languages) side.lang = text.languages[i]; });
    const tall = Math.max(text.from.length, text.to.length) * (high = ROWS[Number(crowded(text))]);
    node.style.setProperty("--lm-row", `${high}px`);
    strands.setAttribute("viewBox", `0 0 100 ${tall}`);
    strands.setAttribute("height", tall);
  }
  const line = (t, s, cls, width, extra = {}) => svg("path", { class: cls, d: `M0,${(t + 0.5) * high}C45,${(t + 0.5) * high} 55,${(s + 0.5) * high} 100,${(s + 0.5) * high}`,
    "vector-effect": "non-scaling-stroke", "stroke-width": width.toFixed(2), ...extra });

  function show({ text, weights, shown, chosen, gold }) {
    words(text);
    now = { text, chosen };
    buttons.forEach((word, t) => {
      word.classList.toggle("lmw-now", t === shown);
      if (t === chosen) word.setAttribute("aria-current", "true"); else word.removeAttribute("aria-current");
    });
    const row = weights[shown], top = best(row), links = new Set((gold ?? []).filter(([, j]) => j === shown).map(([i]) => i));
    strands.replaceChildren(
      ...weights.flatMap((others, t) => (t === shown ? [] : others.flatMap((w, s) => (w >= FAINT ? [line(t, s, "lmw-strand", 0.5 + 4 * w)] : [])))),
      ...row.flatMap((w, s) => (w >= 0.02 ? [line(shown, s, "lmw-strand lmw-strand-now", 0.7 + 9 * w, { "data-s": s, "data-weight": w })] : [])),
      ...[...links].map((s) => line(shown, s, "lmw-strand lmw-strand-gold", 2, { "data-gold": s })));
    to.replaceChildren(...text.to.map((word, s) => h("li", { "data-weight": row[s], class: s === top ? "lmw-most" : "" },
      h("span", { class: "lmw-looked", title: word }, h("span", { class: "lmw-cut" }, word), links.has(s) ? h("span", { class: "lmw-true", title: "true alignment" }, h("span", { class: "lmw-hidden" }, ", true alignment")) : null), " ",
      h("span", { class: "lmw-number" }, row[s] > 0 && row[s] < 1e-4 ? "≈ 0 %" : percent(row[s])))));
  }
  return { node, show };
}

const LEAST = 13, MOST = 28, LETTER = 7.9; // pixels: cells of a matrix, a letter of its labels
const cut = (word) => (word.length > 13 ? `${word.slice(0, 12)}…` : word);

/** Weights as squares whose area is the weight, a row per word that looks; `choose(t)` and `peek(t)` as above. */
export function weightView({ label, choose, peek }) {
  const picture = svg("svg", { class: "lmw-weights", role: "img" });
  const node = h("div", { class: "lmw-matrix-box", tabindex: 0, role: "group", "aria-label": label }, picture);
  let last = null;
  arrowKeys(node, (by) => choose(last.chosen + by));
  node.addEventListener("pointerleave", () => peek(null));
  const watcher = new ResizeObserver(() => { if (last && node.clientWidth !== last.room) show(last); });
  watcher.observe(node);

  function show(data) {
    const { text, weights, shown, gold, name } = data, room = node.clientWidth || 320;
    last = { ...data, room };
    const side = LETTER * Math.max(...text.from.map((word) => cut(word).length)) + 13, top = LETTER * Math.max(...text.to.map((word) => cut(word).length)) + 10;
    const rows = text.from.length, columns = text.to.length, cell = Math.min(MOST, Math.max(LEAST, (room - side - 4) / columns));
    const width = side + columns * cell + 2, height = top + rows * cell + 2;
    for (const [key, v] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": name })) picture.setAttribute(key, v);
    const y = (t) => top + t * cell, x = (s) => side + s * cell, pressed = (t) => ({ class: "lmw-row-pad", x: 0, y: y(t), width, height: cell, onclick: () => choose(t),
      onpointerenter: (event) => { if (event.pointerType === "mouse") peek(t); } });
    picture.replaceChildren(
      svg("rect", { class: "lmw-beyond", x: 0, y: y(shown), width, height: cell }),
      svg("path", { class: "lmw-grid", d: text.to.map((_, s) => `M${x(s)},${top}V${y(rows)}`).join("") + text.from.map((_, t) => `M${side},${y(t)}H${x(columns)}`).join("") + `M${side},${y(rows)}H${x(columns)}V${top}` }),
      svg("g", { lang: text.languages?.[0] }, text.from.map((word, t) => svg("text", { class: t === shown ? "lmw-important" : "", x: side - 5, y: y(t) + cell / 2 + 4, "text-anchor": "end" }, cut(word)))),
      svg("g", { lang: text.languages?.[1] }, text.to.map((word, s) => svg("text", { class: s === best(weights[shown]) ? "lmw-important" : "", transform: `translate(${x(s) + cell / 2 + 4},${top - 5}) rotate(-90)` }, cut(word)))),
      ...(gold ?? []).map(([i, j]) => svg("rect", { class: "lmw-gold", x: x(i) + 1, y: y(j) + 1, width: cell - 2, height: cell - 2, "data-gold": `${i},${j}` })),
      ...weights.flatMap((row, t) => row.map((w, s) => {
        const edge = Math.sqrt(Math.min(w, 1)) * (cell - 3);
        return svg("rect", { class: "lmw-weight", x: x(s) + (cell - edge) / 2, y: y(t) + (cell - edge) / 2, width: edge, height: edge, "data-value": w });
      })),
      ...text.from.map((_, t) => svg("rect", pressed(t))));
  }
  return { node, show, close: () => watcher.disconnect() };
}
