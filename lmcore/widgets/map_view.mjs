// The plane of the embedding map: marks, labels that do not overlap, zoom and pan by buttons, keys, wheel and two fingers.
import { button, clamp, h, svg } from "./draw.mjs";

// One outline per group, about 10 units wide, so that groups differ without colour.
const SHAPES = ["M-4,-4H4V4H-4Z", "M0,-5L5,4H-5Z", "M0,-5.5L5.5,0L0,5.5L-5.5,0Z", "M-5,-1.7H-1.7V-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5Z",
  "M0,5L5,-4H-5Z", "M0,-5.5L1.6,-1.8L5.4,-1.7L2.5,.8L3.4,4.6L0,2.5L-3.4,4.6L-2.5,.8L-5.4,-1.7L-1.6,-1.8Z",
  "M-4.5,-2.6L0,-5.2L4.5,-2.6V2.6L0,5.2L-4.5,2.6Z", "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0Z"];
const DOT = "M-2.5,0A2.5,2.5 0 1 0 2.5,0A2.5,2.5 0 1 0 -2.5,0Z";
const DIRECTIONS = [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [1, 1], [-1, -1], [-1, 1]];
const HEIGHT = 400, MARGIN = 34, FONT = 13, LINE = 16; // pixels

export function mapView({ words, places, kept, groupNames, groupOf, choose }) {
  const principal = places; // an analogy turns the map; this is the view to come back to
  const at = (i) => [places[2 * i], places[2 * i + 1]];
  const lines = svg("g"), marks = svg("g"), labels = svg("g", { class: "lmw-labels" });
  const plane = svg("svg", { class: "lmw-plane", height: HEIGHT, tabindex: 0, role: "application", "aria-roledescription": "map",
    "aria-label": `Map of ${words.length} words. Arrow keys move it, plus and minus zoom, 0 shows all of it. Choose a word in the box above.` }, lines, labels, marks);
  const points = words.map((word, i) => {
    const group = groupOf[i];
    const mark = svg("path", { d: group < 0 ? DOT : SHAPES[group], class: group < 0 ? "lmw-other" : `lmw-group-${group}` });
    const hit = svg("g", { class: "lmw-point", "data-index": i }, svg("circle", { r: 9, class: "lmw-hit" }), mark);
    hit.append(svg("title", {}, word));
    marks.append(hit);
    return hit;
  });

  // ---- where things are: place × scale + shift = pixels ----
  const everything = [...words.keys()];
  let width = 600, scale = 1, shift = [0, 0], shown = { focus: [], links: [] };
  /** The scale that makes these words, and the end of an analogy's arrow, fill the map, and the middle of them. */
  function fitting(indices) {
    const margin = indices === everything ? MARGIN : 2 * MARGIN; // few words: room for their labels
    const points = [...indices.map(at), ...(shown.target ? [shown.target] : [])];
    const spans = [0, 1].map((d) => points.map((point) => point[d])).map((x) => [Math.min(...x), Math.max(...x)]);
    const best = Math.min(...[width, HEIGHT].map((size, d) => (size - 2 * margin) / Math.max(spans[d][1] - spans[d][0], 1e-9)));
    const [x, y] = spans.map(([low, high]) => (low + high) / 2);
    return { scale: best, x, y };
  }
  function aim(indices) {
    const wanted = fitting(indices);
    scale = Math.min(wanted.scale, 40 * fitting(everything).scale);
    shift = [width / 2 - scale * wanted.x, HEIGHT / 2 + scale * wanted.y];
  }
  function fit(indices) { aim(indices); draw(); }
  const reset = () => fit(everything);
  const pixel = ([x, y]) => [x * scale + shift[0], -y * scale + shift[1]];
  function zoom(factor, x = width / 2, y = HEIGHT / 2) {
    const whole = fitting(everything).scale, next = clamp(scale * factor, whole / 2, whole * 40);
    shift = [x + ((shift[0] - x) * next) / scale, y + ((shift[1] - y) * next) / scale];
    scale = next;
    draw();
  }
  function pan(dx, dy) { shift = [shift[0] + dx, shift[1] + dy]; draw(); }

  const ruler = document.createElement("canvas").getContext("2d"), widths = [new Map(), new Map()]; // plain and bold
  function widthOf(word, bold) {
    const known = widths[Number(bold)];
    if (!known.has(word)) {
      ruler.font = `${bold ? 700 : 400} ${FONT}px ${getComputedStyle(plane).fontFamily || "sans-serif"}`;
      known.set(word, ruler.measureText(word).width);
    }
    return known.get(word);
  }

  /** Boxes for a label w wide around a mark, the nearest first: [left, top, right, bottom]. */
  function boxesAround(x, y, w, rings) {
    return rings.flatMap((ring) => DIRECTIONS.map(([dx, dy]) => {
      const d = (dx && dy ? 8 : 11) + ring;
      const left = x + dx * d - (dx > 0 ? 0 : dx < 0 ? w : w / 2), top = y + dy * d - (dy > 0 ? 0 : dy < 0 ? LINE : LINE / 2);
      return [left, top, left + w, top + LINE];
    }));
  }

  /** Labels for the words in question first, then groups, then frequent words, where they cover no other label or mark.
      A word in question always has its label, further away and with a line to its mark where it is crowded. */
  function drawLabels() {
    const rank = (i) => (shown.focus.includes(i) ? 0 : groupOf[i] >= 0 ? 1 : 2);
    const visible = [...words.keys()].map((i) => ({ i, rank: rank(i), x: pixel(at(i))[0], y: pixel(at(i))[1] }))
      .filter(({ x, y }) => x >= 0 && x <= width && y >= 0 && y <= HEIGHT).sort((p, q) => p.rank - q.rank || p.i - q.i);
    const size = (rank) => (rank ? 5 : 9);
    const taken = visible.filter((p) => p.rank < 2).map(({ i, rank, x, y }) => [x - size(rank), y - size(rank), x + size(rank), y + size(rank), i]), out = [];
    const free = (box, i) => box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= HEIGHT
      && !taken.some(([left, top, right, bottom, owner]) => owner !== i && box[0] < right && box[2] > left && box[1] < bottom && box[3] > top);
    if (shown.target) {
      const [x, y] = pixel(shown.target);
      taken.push([x - 7, y - 7, x + 7, y + 7, -1]);
    }
    for (const { i, rank, x, y } of visible) {
      if (shown.target && rank === 2) break; // beside an analogy, only the words of groups
      const boxes = boxesAround(x, y, widthOf(words[i], rank === 0) + 4, rank ? [0] : [0, 14, 30, 48, 70]);
      const box = boxes.find((candidate) => free(candidate, i)) ?? (rank ? null : boxes[x > width / 2 ? 1 : 0]);
      if (!box) continue;
      taken.push([...box, i]);
      const near = [clamp(x, box[0], box[2]), clamp(y, box[1], box[3])];
      if (Math.hypot(near[0] - x, near[1] - y) > 14) out.push(svg("line", { x1: x, y1: y, x2: near[0], y2: near[1], class: "lmw-leader" }));
      out.push(svg("text", { x: box[0] + 2, y: box[1] + FONT, class: rank ? "" : "lmw-important" }, words[i]));
    }
    labels.replaceChildren(...out);
  }

  function draw() {
    plane.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    points.forEach((point, i) => {
      const [x, y] = pixel(at(i));
      point.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
      point.classList.toggle("lmw-chosen", shown.focus.includes(i));
    });
    lines.replaceChildren(...shown.links.flatMap(({ from, to, kind }) => {
      const [x1, y1] = pixel(from), [x2, y2] = pixel(to), line = svg("line", { x1, y1, x2, y2, class: `lmw-line-${kind}` });
      return kind === "near" || kind === "side" ? [line] : [line, head(x1, y1, x2, y2, kind)];
    }));
    if (shown.target) {
      const [x, y] = pixel(shown.target);
      lines.append(svg("path", { d: "M-6,-6L6,6M-6,6L6,-6", transform: `translate(${x},${y})`, class: "lmw-target" }));
    }
    drawLabels();
  }
  // The point of an arrow ends at the rim of the mark it leads to.
  const head = (x1, y1, x2, y2, kind) => svg("path", { d: "M-9,0L-20,-5L-20,5Z", class: `lmw-head-${kind}`,
    transform: `translate(${x2},${y2}) rotate(${(Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI})` });

  // ---- mouse, fingers, keys ----
  const spot = (event) => [event.clientX - plane.getBoundingClientRect().left, event.clientY - plane.getBoundingClientRect().top];
  const fingers = new Map();
  let dragged = false;
  // A click takes the nearest mark, so that marks that lie on each other and thick fingers do no harm.
  plane.addEventListener("click", (event) => {
    if (dragged) return;
    const here = spot(event), distance = (i) => Math.hypot(pixel(at(i))[0] - here[0], pixel(at(i))[1] - here[1]);
    const nearest = everything.reduce((best, i) => (distance(i) < distance(best) ? i : best), 0);
    if (distance(nearest) < 24) choose(nearest);
  });
  plane.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, spot(event)); dragged = false; });
  plane.addEventListener("pointermove", (event) => {
    const old = fingers.get(event.pointerId);
    if (!old) return;
    const now = spot(event), dx = now[0] - old[0], dy = now[1] - old[1];
    if (fingers.size === 1 && !dragged && Math.hypot(dx, dy) < 4) return; // a click trembles
    if (!dragged) { dragged = true; plane.setPointerCapture(event.pointerId); }
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const before = Math.hypot(old[0] - other[0], old[1] - other[1]), after = Math.hypot(now[0] - other[0], now[1] - other[1]);
      if (before > 1) zoom(after / before, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      pan(dx / 2, dy / 2);
    } else if (fingers.size === 1) pan(dx, dy);
    fingers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) plane.addEventListener(end, (event) => fingers.delete(event.pointerId));
  // The wheel zooms only where the reader has said so (Ctrl, or the map has the focus); otherwise the page scrolls.
  plane.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== plane) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), ...spot(event));
  }, { passive: false });
  const keys = { ArrowLeft: () => pan(40, 0), ArrowRight: () => pan(-40, 0), ArrowUp: () => pan(0, 40), ArrowDown: () => pan(0, -40),
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: reset };
  plane.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  const note = h("p", { class: "lmw-note" });
  const caution = `A flat map keeps ${(100 * kept).toFixed(0)} % of how the words differ, so trust the list more than the map.`;
  const groups = h("p", { class: "lmw-legend lmw-groups" }, groupNames.map((name, i) => h("span", {},
    svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, svg("path", { d: SHAPES[i], class: `lmw-group-${i}` })), name)));
  const node = h("div", { class: "lmw-map" },
    h("div", { class: "lmw-zoom" }, button("+", () => zoom(1.4), { "aria-label": "Zoom in" }), button("−", () => zoom(1 / 1.4), { "aria-label": "Zoom out" }), button("Zoom to these words", () => fit(shown.focus)), button("Show all", reset)),
    plane, groupNames.length ? groups : null,
    note);
  const watcher = new ResizeObserver(() => {
    if (!plane.clientWidth || plane.clientWidth === width) return;
    width = plane.clientWidth;
    fit(framed ? shown.focus : everything);
  });
  watcher.observe(plane);
  aim(everything); // drawn when the figure says what to show, and is on the page

  let framed = ""; // the analogy that fills the map: its arrows are short beside the whole map
  return {
    node,
    close: () => watcher.disconnect(),
    showNeighbours(i, found) {
      shown = { focus: [i, ...found], links: found.map((j) => ({ from: at(i), to: at(j), kind: "near" })) };
      note.textContent = `Dotted lines lead to the nearest words. ${caution}`;
      places = principal;
      if (framed) { framed = ""; reset(); } else draw();
    },
    /** `turned`: places of all words in the plane of the analogy, or null where three words span none. */
    showAnalogy(a, b, c, found, turned) {
      places = turned ?? principal;
      const target = [0, 1].map((d) => at(a)[d] - at(b)[d] + at(c)[d]);
      shown = { focus: [a, b, c, found[0]], target, links: [{ from: at(b), to: at(c), kind: "side" }, { from: at(a), to: target, kind: "side" },
        { from: at(b), to: at(a), kind: "given" }, { from: at(c), to: target, kind: "asked" }] };
      note.textContent = `Full arrow: from ${words[b]} to ${words[a]}. Dashed arrow: the same step from ${words[c]}; the cross is where it ends. `
        + (turned ? "The map is turned so that both arrows lie flat in it." : caution);
      const asked = [a, b, c].join();
      if (framed !== asked) { framed = asked; fit(shown.focus); } else draw();
    },
  };
}
