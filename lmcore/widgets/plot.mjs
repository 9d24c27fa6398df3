// A plane for curves that keeps its text readable at any width: it is drawn in real pixels, and again when its width changes.
import { h, svg } from "./draw.mjs";

/** An SVG as wide as its column and `height` high. `onwidth()` is called when the width has changed; `size.width` is the width. */
export function plane(height, attributes, onwidth) {
  const node = svg("svg", { class: "lmw-chart", height: typeof height === "number" ? height : 300, ...attributes });
  const size = { width: 440, height: typeof height === "number" ? height : 300 };
  const fit = (width) => {
    size.width = width;
    if (typeof height === "function") size.height = height(width);
    node.setAttribute("height", size.height);
    node.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  };
  fit(size.width);
  const watcher = new ResizeObserver(() => {
    if (!node.clientWidth || node.clientWidth === size.width) return;
    fit(node.clientWidth);
    onwidth();
  });
  watcher.observe(node);
  return { node, size, close: () => watcher.disconnect() };
}

/** The path through points [x, y]; a point that is null breaks the line. */
export function through(points) {
  let pen = "M", out = "";
  for (const point of points) {
    if (!point) { pen = "M"; continue; }
    out += `${pen}${point[0].toFixed(2)},${point[1].toFixed(2)}`;
    pen = "L";
  }
  return out;
}

/** Round numbers from low to high, at most about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough * 0.999), out = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

/** Frame, grid lines and numbers of a plane. `box` is { left, right, top, bottom } in pixels, `x` and `y` turn numbers into pixels. */
export function axes({ box, x, y, xTicks, yTicks, xText = String, yText = String, xTitle }) {
  return svg("g", { class: "lmw-axes", "aria-hidden": "true" },
    yTicks.map((v) => svg("path", { d: `M${box.left},${y(v)}H${box.right}` })),
    yTicks.map((v) => svg("text", { x: box.left - 6, y: y(v) + 4, "text-anchor": "end" }, yText(v))),
    xTicks.map((v) => svg("path", { d: `M${x(v)},${box.bottom}v4` })),
    xTicks.map((v) => svg("text", { x: x(v), y: box.bottom + 17, "text-anchor": "middle" }, xText(v))),
    svg("path", { class: "lmw-axis", d: `M${box.left},${box.top}V${box.bottom}H${box.right}` }),
    svg("text", { class: "lmw-axis-title", x: (box.left + box.right) / 2, y: box.bottom + 34, "text-anchor": "middle" }, xTitle));
}

/** Legend of lines: { kind: text }, each with a piece of its line in front. An entry without a text is left out. */
export const lineLegend = (entries) => h("div", { class: "lmw-legend lmw-groups" }, Object.entries(entries).filter(([, text]) => text).map(([kind, text]) =>
  h("span", {}, svg("svg", { width: 34, height: 12, viewBox: "0 0 34 12", "aria-hidden": "true" }, svg("path", { class: `lmw-curve lmw-curve-${kind}`, d: "M1,6H33" })), text)));

/** Call `move([x, y])` in the plane's pixels while the pointer is down on `handle`. */
export function draggable(node, handle, move) {
  const at = (event) => {
    const place = node.getBoundingClientRect();
    move([event.clientX - place.left, event.clientY - place.top]);
  };
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    at(event);
    event.preventDefault();
    node.focus({ preventScroll: true });
  });
  handle.addEventListener("pointermove", (event) => { if (handle.hasPointerCapture(event.pointerId)) at(event); });
}
