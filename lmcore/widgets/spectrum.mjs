// The eigenvalues of a matrix in the complex plane, with the unit circle and a handle that scales the matrix, and its singular values.
import { h, svg } from "./draw.mjs";
import { draggable, plane } from "./plot.mjs";

const ANGLE = Math.PI / 4; // where on the circle of radius ρ its handle sits
const BARS = 96; // height of the singular values

export function spectrumView({ radii, setRadius }) {
  const reach = Math.max(1.2, radii[1]) * 1.08; // half the side of the plane, in units of λ; the same for all radii
  let last = null;
  const redraw = () => last && draw(last);
  const eigen = plane((width) => Math.min(width, 264), { role: "img" }, redraw);
  const bars = plane(BARS, { role: "img" }, redraw);
  const back = svg("g"), dots = svg("g", { class: "lmw-eigen" });
  const ring = svg("circle", { class: "lmw-radius" }), knob = svg("circle", { class: "lmw-knob", r: 9 });
  const handle = svg("g", { class: "lmw-grab" }, svg("title", {}, "Drag to change the spectral radius"), svg("circle", { class: "lmw-hit", r: 22 }), knob);
  eigen.node.append(back, ring, dots, handle);
  const centre = () => [eigen.size.width / 2, eigen.size.height / 2], unit = () => eigen.size.height / 2 / reach;
  draggable(eigen.node, handle, ([x, y]) => setRadius(Math.hypot(x - centre()[0], y - centre()[1]) / unit()));

  function drawEigenvalues({ values, radius }) {
    const [cx, cy] = centre(), u = unit(), place = (re, im) => [cx + u * re, cy - u * im];
    back.replaceChildren(svg("circle", { class: "lmw-unit", cx, cy, r: u }),
      svg("path", { class: "lmw-cross", d: `M${cx - u * reach},${cy}H${cx + u * reach}M${cx},${cy - u * reach}V${cy + u * reach}` }),
      svg("text", { x: cx + u * 1.0 + 4, y: cy + 15, class: "lmw-tick" }, "1"));
    for (const [key, v] of Object.entries({ cx, cy, r: radius * u })) ring.setAttribute(key, v);
    handle.setAttribute("transform", `translate(${place(radius * Math.cos(ANGLE), radius * Math.sin(ANGLE)).join()})`);
    const out = [];
    for (let i = 0; i < values.length; i += 2) {
      const [re, im] = [values[i], values[i + 1]], outside = Math.hypot(re, im) > 1 + 1e-9, [x, y] = place(re, im);
      out.push(svg("path", { class: outside ? "lmw-outside" : "lmw-inside", "data-re": re, "data-im": im, transform: `translate(${x.toFixed(2)},${y.toFixed(2)})`,
        d: outside ? "M0,-6L6,0L0,6L-6,0Z" : "M-4,0A4,4 0 1 0 4,0A4,4 0 1 0 -4,0Z" }));
    }
    const apart = values.some((v, i) => Math.abs(v - values[i % 2]) > 1e-9), [x, y] = place(values[0], values[1]);
    dots.replaceChildren(...out, ...(apart ? [] : [svg("text", { x: x - 10, y: y - 9, "text-anchor": "end", class: "lmw-tick" }, `all ${out.length}`)]));
    const outside = out.filter((dot) => dot.getAttribute("class") === "lmw-outside").length;
    eigen.node.setAttribute("aria-label", `Complex plane: ${out.length} eigenvalues, ${outside} of them outside the unit circle; the largest has modulus ${radius.toFixed(2)}.`);
    return outside;
  }

  function drawSingular({ singular }) {
    const { width } = bars.size, left = 26, top = 8, bottom = BARS - 6, most = singular[0];
    const high = [1.5, 2, 3, 5, 8, 12, 20, 50, 100, 500].find((v) => v >= most) ?? most, y = (v) => bottom - ((bottom - top) * v) / high;
    const step = (width - left) / singular.length;
    bars.node.replaceChildren(...Array.from(singular, (v, i) => svg("rect", { class: "lmw-singular" + (v > 1 + 1e-9 ? " lmw-over" : ""), "data-value": v,
      x: left + i * step + step * 0.12, width: step * 0.76, y: y(v), height: Math.max(bottom - y(v), 0.5) })),
    svg("path", { class: "lmw-one", d: `M${left},${y(1)}H${width}` }),
    svg("text", { x: left - 5, y: y(1) + 4, "text-anchor": "end", class: "lmw-axis-title" }, "1"),
    svg("text", { x: left - 5, y: y(high) + 9, "text-anchor": "end", class: "lmw-axis-title" }, high));
    bars.node.setAttribute("aria-label", `Singular values, from ${most.toFixed(2)} down to ${singular[singular.length - 1].toFixed(2)}.`);
  }

  function draw(data) {
    last = data;
    drawSingular(data);
    return drawEigenvalues(data);
  }
  const norm = h("p", { class: "lmw-caption" });
  const node = h("div", { class: "lmw-spectrum" },
    h("p", { class: "lmw-caption" }, "Eigenvalues of V", h("sub", {}, "h")), eigen.node, norm, bars.node);
  return { node, close: () => { eigen.close(); bars.close(); }, show(data) {
    norm.replaceChildren("Singular values of V", h("sub", {}, "h"), `, largest ${data.singular[0].toFixed(2)}`);
    return draw(data);
  } };
}
