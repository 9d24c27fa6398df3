// Unrolled network: a recurrent language model reads a text; one column per step, with its word, its state and its prediction.
import { arrowKeys, button, checkbox, controls, facts, follow, frame, h, percent, slider, svg, write } from "./draw.mjs";
import { predictions, reading, surprise } from "./reading.mjs";
import { logits, probabilities, run, unpackModels } from "./recurrent.mjs";

const COLUMN = 92, BOX = 60, ARROW = 22; // pixels: a step, its state, an arrow
const PLAY = 900; // milliseconds a step

const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);
const short = (word) => (word.length > 10 ? word.slice(0, 9) + "…" : word);

function render({ model, el }) {
  const [net] = unpackModels(model.get("models"), model.get("weights"), model.get("half")), H = net.hidden;
  const line = Math.max(4, Math.min(14, Math.round(168 / H))), tall = line * H; // height of one unit, of the state
  const { box, body, say } = frame(model, el, "unrolled-network", "Unrolled network",
    "press Next step and guess each word before you look; then click a predicted word to send the text another way.");
  const text = reading(model), table = predictions(text, model.get("top"));

  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  const goTo = (n) => { stop(); text.goTo(n); };
  let timer = 0;
  const back = button("◀ Back", () => goTo(text.stepNow() - 1));
  const next = button("Next step ▶", () => goTo(text.stepNow() + 1), { class: "lmw-primary" });
  const play = button("Play", () => {
    if (timer) { stop(); return; }
    if (text.stepNow() === text.words().length) text.goTo(0);
    play.textContent = "Pause";
    timer = setInterval(() => { if (!el.isConnected || text.stepNow() === text.words().length) stop(); else text.goTo(text.stepNow() + 1); }, PLAY);
  });
  const place = slider("Step", goTo);
  const pickUnit = slider("Look inside unit", (k) => write(model, { unit: k - 1 }));
  pickUnit.input.min = 1;
  pickUnit.input.max = H;
  const unitName = h("output", { class: "lmw-unit-name", for: pickUnit.input.id });
  pickUnit.node.firstChild.after(unitName);
  const forget = checkbox("Wipe the state before every step", (checked) => write(model, { memory: !checked }));
  const graph = h("div", { class: "lmw-unrolled", tabindex: 0, role: "group", "aria-label": "The network, one column per step. Arrow keys go from step to step." });
  const names = h("div", { class: "lmw-names", "aria-hidden": "true" }, h("p", { style: { top: ".3rem" } }, "likeliest next word"),
    h("p", { style: { top: `calc(2.6em + ${ARROW + tall / 2}px)` } }, "state ", h("i", {}, "h", h("sub", {}, "n"))), h("p", { style: { bottom: "1.7em" } }, "word ", h("i", {}, "x", h("sub", {}, "n"))), h("p", { style: { bottom: "0" } }, "step"));
  const scale = h("p", { class: "lmw-note" }), inside = h("div", { class: "lmw-why" }), numbers = h("div", { class: "lmw-facts" });
  body.append(controls(...text.controls), text.note, controls(back, next, play, place.node), graph, scale,
    h("div", { class: "lmw-columns" }, h("div", {}, table.node), numbers), controls(pickUnit.node, forget.node), inside);

  // ---- the network's numbers, once per text ----
  let ran, of = "", drawn = []; // drawn: the columns, each with what it shows
  function compute() {
    const key = JSON.stringify([text.words(), model.get("memory")]);
    if (key === of) return;
    of = key;
    drawn = [];
    const steps = run(net, text.ids(), model.get("memory"));
    const chances = steps.map((s) => probabilities(logits(net, s), text.never));
    const largest = steps.reduce((x, s) => s.h.reduce((y, value) => Math.max(y, Math.abs(value)), x), 0);
    ran = { steps, chances, scale: net.nonlinearity === "relu" && net.cell === "rnn" ? Math.max(largest, 1e-9) : 1 };
  }

  // ---- one column ----
  const arrow = (points, kind = "") => svg("path", { d: `M${points[0]}L${points[1]}`, class: `lmw-arrow ${kind}` });
  const tip = ([x, y], angle) => svg("path", { d: "M0,0L-7,-4V4Z", class: "lmw-tip", transform: `translate(${x},${y}) rotate(${angle})` });
  function stateBars({ h: values }) {
    const middle = COLUMN - BOX / 2, unit = BOX / 2 - 3;
    return [...values].map((value, k) => {
      const length = Math.max(0.5, (unit * Math.abs(value)) / ran.scale);
      return svg("rect", { class: value < 0 ? "lmw-minus" : "lmw-plus", "data-h": value, x: value < 0 ? middle - length : middle, width: length,
        y: ARROW + k * line + line * 0.12, height: line * 0.76 });
    });
  }
  function column(n, now) {
    const done = n <= now, left = COLUMN - BOX, middle = left + BOX / 2, half = ARROW + tall / 2, word = n ? text.words()[n - 1] : "(start)";
    const p = ran.chances[n], best = p.indexOf(Math.max(...p)), values = ran.steps[n].h;
    const picture = svg("svg", { width: COLUMN, height: tall + 2 * ARROW, role: "img", class: "lmw-state",
      "aria-label": done ? `State after step ${n}: unit ${model.get("unit") + 1} is ${signed(values[model.get("unit")])}` : `State after step ${n}: not computed yet`,
      onclick: (event) => {
        const y = event.clientY - picture.getBoundingClientRect().top - ARROW, k = Math.floor(y / line);
        if (k >= 0 && k < H) { stop(); write(model, { unit: k, step: n }); }
      } });
    if (n) picture.append(...(model.get("memory") ? [arrow([[0, half], [left - 7, half]]), tip([left - 1, half], 0)]
      : [arrow([[0, half], [left - 12, half]], "lmw-dashed"), svg("path", { class: "lmw-arrow", d: `M${left - 11},${half - 5}l10,10m0,-10l-10,10` })]));
    picture.append(arrow([[middle, ARROW], [middle, 6]]), tip([middle, 1], -90), arrow([[middle, tall + 2 * ARROW], [middle, tall + ARROW + 7]]), tip([middle, tall + ARROW + 1], -90),
      svg("rect", { class: "lmw-box", x: left, y: ARROW - 1, width: BOX, height: tall + 2, rx: 5 }));
    if (done) picture.append(svg("rect", { class: "lmw-followed", x: left + 1, y: ARROW + model.get("unit") * line, width: BOX - 2, height: line }),
      svg("path", { class: "lmw-middle", d: `M${middle},${ARROW}v${tall}` }), ...stateBars(ran.steps[n]));
    const token = button(n ? short(word) : word, () => goTo(n), { class: "lmw-token", title: word, tabindex: -1 });
    if (n === now) token.setAttribute("aria-current", "step");
    return h("div", { class: "lmw-col" + (n === now ? " lmw-current" : done ? "" : " lmw-ahead"), "data-step": n },
      h("p", { class: "lmw-guess", title: done ? text.shown(best) : null }, done ? [h("b", {}, short(text.shown(best))), h("span", {}, percent(p[best]))] : "?"),
      picture, token, h("p", { class: "lmw-index" }, `n = ${n}`));
  }

  /** Brings the columns to step n; only those that change are drawn again. */
  function drawColumns(n, k) {
    drawn = ran.steps.map((_, i) => {
      const key = i > n ? "ahead" : `${k}${i === n ? " now" : ""}`;
      return drawn[i]?.key === key ? drawn[i] : { key, node: column(i, n) };
    });
    graph.replaceChildren(names, ...drawn.map(({ node }) => node));
  }

  // ---- inside one unit ----
  function drawInside(n, k) {
    const s = ran.steps[n], value = s.h[k], before = n && model.get("memory") ? ran.steps[n - 1].h[k] : 0;
    const title = h("p", { class: "lmw-caption" }, `Unit ${k + 1} at step ${n}: ${signed(before)} → ${signed(value)}`);
    if (net.cell !== "rnn") { inside.replaceChildren(title); return; }
    const rows = [["word", "the word adds", s.word[k]], ["memory", "the state before adds", s.memory[k]], ["bias", "the bias adds", s.bias[k]], ["sum", "sum z", s.z[k]],
      ["h", `h = ${net.nonlinearity}(z)`, value]];
    const largest = Math.max(1e-9, ...rows.map(([, , x]) => Math.abs(x)));
    inside.replaceChildren(title, h("table", { class: "lmw-table lmw-sums" }, h("tbody", {}, rows.map(([id, label, x]) => h("tr", { "data-part": id, "data-value": x },
      h("th", { scope: "row" }, label), h("td", { class: "lmw-bars" }, h("span", { class: "lmw-signed" }, h("i", { class: x < 0 ? "lmw-minus" : "lmw-plus",
        style: { width: `${(50 * Math.abs(x)) / largest}%`, [x < 0 ? "right" : "left"]: "50%" } }))), h("td", { class: "lmw-number" }, signed(x)))))));
  }

  function show(n) { // scroll the present column into the middle, without moving the page
    const here = graph.querySelector(".lmw-current");
    graph.scrollLeft = here.offsetLeft - (graph.clientWidth + names.offsetWidth - COLUMN) / 2;
  }

  const done = follow(model, ["words", "step", "unit", "memory"], () => {
    compute();
    text.follow();
    const n = text.stepNow(), last = text.words().length, k = model.get("unit"), p = ran.chances[n], came = text.came(n);
    place.input.max = last;
    place.input.value = n;
    place.input.setAttribute("aria-valuetext", `${n} of ${last}: ${n ? text.words()[n - 1] : "start"}`);
    pickUnit.input.value = k + 1;
    pickUnit.input.setAttribute("aria-valuetext", `${k + 1} of ${H}`);
    unitName.textContent = `${k + 1} of ${H}`;
    forget.input.checked = !model.get("memory");
    back.disabled = n === 0;
    next.disabled = n === last;
    drawColumns(n, k);
    show(n);
    scale.textContent = `Each bar of a state is one of its ${H} numbers, from −${ran.scale.toPrecision(2)} (left, hollow) to +${ran.scale.toPrecision(2)} (right, filled). Above: the likeliest next word. Below: the word read.`;
    const best = table.draw(p), [shown, exact] = surprise(p[came]);
    const all = ran.chances.reduce((sum, q, i) => sum + surprise(q[text.came(i)])[1], 0) / ran.chances.length;
    const moved = Math.sqrt(ran.steps[n].h.reduce((sum, x, i) => sum + (x - (n ? ran.steps[n - 1].h[i] : 0)) ** 2, 0));
    numbers.replaceChildren(...facts({
      came: ["Surprise at what came", shown, exact],
      mean: ["Mean over this text", `${all.toFixed(2)} bits`, all],
      moved: ["The state moved by", moved.toFixed(2), moved],
    }));
    drawInside(n, k);
    const read = n ? `read “${text.words()[n - 1]}”` : "is at the start";
    say(`Step ${n} of ${last} ${read}. The likeliest next word is ${best === text.end ? "the end" : `“${text.shown(best)}”`} (${percent(p[best])}). `
      + `${came === text.end ? "The end" : `“${text.shown(came)}”`} came, to which the model gave ${percent(p[came])}.`);
  });
  arrowKeys(graph, (by) => goTo(text.stepNow() + by));
  box.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, .lmw-unrolled") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight") goTo(text.stepNow() + 1); else if (event.key === "ArrowLeft") goTo(text.stepNow() - 1);
  });
  return () => { stop(); done(); };
}

export default { render };
