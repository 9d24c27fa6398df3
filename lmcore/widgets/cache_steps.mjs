// The KV cache, step by step: what is computed anew for the next token without a cache and with one, counted and timed.
import { button, controls, facts, follow, frame, h, svg } from "./draw.mjs";
import { inSlices } from "./engine.mjs";
import { modelChooser } from "./page_models.mjs";
import { playback } from "./playback.mjs";
import { promptBox } from "./prompts.mjs";
import { filtered, likeliest } from "./sampling.mjs";

const LONGEST = 24, CELL = 11, GAP = 1, STRIP = 27, REPEATS = 3;
const grouped = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
const million = (n) => `${(n / 1e6).toFixed(n < 1e7 ? 2 : 1)} million`;

/** The multiplications of reading `fresh` tokens after `before` others, as lmcore/widgets/cache_steps.py counts them. */
function multiplications(before, fresh, { dim: C, hidden: F, layers: N, vocabulary: V }) {
  const scores = fresh * before + (fresh * (fresh + 1)) / 2;
  return N * (fresh * (4 * C * C + 2 * C * F) + 2 * C * scores) + C * V;
}

/** Keys, values and scores at one step: squares that are computed now, squares that are there, and those that are needed no more. */
function panel(title) {
  const node = svg("svg", { class: "lmw-chart lmw-kv", role: "img" });
  const clear = () => { node.replaceChildren(); node.setAttribute("aria-label", `${title}: nothing is computed yet.`); };
  clear();
  return { node, clear, draw(all, t, fresh) {
    const at = (i) => i * (CELL + GAP), size = at(all), rows = [], now = t - fresh;
    const square = (x, y, kind) => { const inset = kind === "fresh" ? 0 : 1; return svg("rect", { x: x + inset, y: y + inset, width: CELL - 2 * inset, height: CELL - 2 * inset, class: `lmw-kv-${kind}` }); };
    for (const [r, name] of ["keys", "values"].entries()) {
      rows.push(svg("text", { x: 0, y: r * STRIP + 10 }, name));
      for (let s = 0; s < t; s++) rows.push(square(at(s), r * STRIP + 13, s < now ? "kept" : "fresh"));
    }
    const top = 2 * STRIP + 16;
    rows.push(svg("text", { x: 0, y: top - 3 }, "scores"));
    for (let q = 0; q < t; q++) for (let s = 0; s <= q; s++) rows.push(square(at(s), top + at(q), q < now ? "past" : "fresh"));
    node.setAttribute("viewBox", `-2 0 ${size + 4} ${top + size + 2}`);
    node.setAttribute("aria-label", `${title}: of ${t} tokens, keys, values and scores of ${fresh} are computed now; ${now ? `${now} are in the cache` : "none are in a cache"}.`);
    node.dataset.fresh = fresh;
    node.dataset.kept = now;
    node.replaceChildren(...rows);
  } };
}

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "cache", "The cache, step by step", "press Play. At which step does the cache begin to save anything, and what does it never save?");
  const sizes = model.get("sizes"), steps = model.get("steps"), timed = model.get("timed");
  const prompt = promptBox(model, { reset: { step: 0 } });
  const models = modelChooser(model, box, { redraw: draw, choose: prompt.choose });
  const player = playback(model, el, { last: () => steps, label: "Tokens written" });
  const text = h("p", { class: "lmw-written" }), panels = [panel("Without a cache"), panel("With a cache")], numbers = h("div", { class: "lmw-answer" });
  const times = h("div", { class: "lmw-answer" }), measure = button("Measure in this browser", () => (measuring ? stopMeasuring() : measureAll())), clock = h("span", { class: "lmw-note" });
  const side = (title, it) => h("div", {}, h("p", { class: "lmw-caption" }, title), it.node);
  body.append(...models.nodes, ...prompt.nodes, player.node, h("div", {}, h("p", { class: "lmw-caption" }, "The text"), text),
    h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" }, h("span", {}, h("i", { class: "lmw-key lmw-key-fresh" }), "computed for this step"), h("span", {}, h("i", { class: "lmw-key lmw-key-held" }), "from the cache"), h("span", {}, h("i", { class: "lmw-key lmw-key-past" }), "needed no more")),
    h("div", { class: "lmw-kv-pair" }, side("Without a cache", panels[0]), side("With a cache", panels[1])), numbers, controls(measure, clock), times);

  let run = 0, key = "", written = null, given = null, runner = null, measuring = false;
  const likely = (logits) => likeliest(filtered(logits, { never: runner.never }));

  /** So many tokens after `ids`, greedily and past any end: with the cache, or all anew for each. */
  function* greedily(ids, count, fresh) {
    const found = [...ids];
    let logits = yield* runner.begin(found, { fresh: true });
    for (let n = 0; n < count; n++) {
      found.push(likely(logits));
      if (n + 1 < count) logits = fresh ? yield* runner.begin(found, { fresh: true }) : yield* runner.step(found.at(-1));
    }
    return found.slice(ids.length);
  }

  function drawStep() {
    player.draw();
    if (!given) return;
    const n = Math.min(model.get("step"), steps), first = given.length, t = first + n, all = first + steps, { tokenizer } = runner;
    panels[0].draw(all, t, t);
    panels[1].draw(all, t, n ? 1 : t);
    const counts = Array.from({ length: n + 1 }, (_, i) => [multiplications(0, first + i, sizes), i ? multiplications(first + i - 1, 1, sizes) : multiplications(0, first, sizes)]);
    const sum = (k) => counts.reduce((total, pair) => total + pair[k], 0), [without, cached] = counts.at(-1), bytes = 2 * sizes.layers * sizes.dim * t * 4;
    const line = (name, id, a, b) => h("tr", { "data-row": id, "data-without": a, "data-with": b }, h("th", { scope: "row" }, name), h("td", { class: "lmw-number" }, grouped(a)), h("td", { class: "lmw-number" }, grouped(b)));
    numbers.replaceChildren(h("table", { class: "lmw-table lmw-kv-counts" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "At this step"), h("th", { scope: "col", class: "lmw-number" }, "Without"), h("th", { scope: "col" }, "With"))),
      h("tbody", {}, line("tokens computed", "tokens", t, n ? 1 : t), line("multiplications", "now", without, cached), line("multiplications so far", "all", sum(0), sum(1)), line("bytes of keys and values that are kept", "bytes", 0, bytes))));
    const shown = written?.slice(0, n) ?? [], whole = tokenizer.extend(model.get("prompt"), shown);
    text.replaceChildren(whole);
    box.dataset.step = n;
    say(n ? `Token ${n}: ${million(without)} multiplications without a cache, ${million(cached)} with. So far ${(sum(0) / sum(1)).toFixed(1)} times as many without.` : `The prompt is read: ${t} tokens, ${million(without)} multiplications, with and without a cache.`);
  }

  async function compute() {
    const mine = ++run, found = prompt.read(runner, steps);
    written = given = null;
    text.replaceChildren();
    numbers.replaceChildren();
    for (const it of panels) it.clear();
    if (typeof found === "string") return say(found);
    if (found.length + steps > LONGEST) return say(`The prompt has ${found.length} tokens, ${runner.start.length ? "the start included" : "as the model reads it"}. There is room for ${LONGEST - steps} in the picture; shorten it.`);
    given = found;
    const mineKey = key, tokens = await inSlices(greedily(found, steps, false), () => mine !== run);
    if (tokens === null || mine !== run) return;
    written = tokens;
    box.dataset.drawn = mineKey;
    drawStep();
  }

  // ---- the clock ----
  function stopMeasuring() {
    run++;
    measuring = false;
    measure.textContent = "Measure in this browser";
  }
  async function measureAll() {
    await models.load();
    if (!models.runner || !given) return;
    runner = models.runner;
    const mine = ++run, rows = [], stopped = () => mine !== run;
    measuring = true;
    measure.textContent = "Stop";
    times.replaceChildren();
    for (const length of timed) {
      clock.textContent = `Measuring ${length} tokens.`;
      const begin = given.slice(0, 1), count = length - 1, spent = [Infinity, Infinity], texts = [];
      for (let k = 0; k < REPEATS; k++) for (const fresh of [true, false]) {
        const began = performance.now(), found = await inSlices(greedily(begin, count, fresh), stopped);
        if (found === null || stopped()) { clock.textContent = "Stopped."; return; }
        spent[fresh ? 0 : 1] = Math.min(spent[fresh ? 0 : 1], performance.now() - began);
        texts.push(found.join(" "));
      }
      rows.push({ length, spent, same: new Set(texts).size === 1 });
      times.replaceChildren(h("table", { class: "lmw-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Tokens in all"), h("th", { scope: "col", class: "lmw-number" }, "Without"), h("th", { scope: "col" }, "With"), h("th", { scope: "col" }, "Times as fast"), h("th", { scope: "col" }, "Same tokens"))),
        h("tbody", {}, rows.map(({ length: n, spent: [a, b], same }) => h("tr", { "data-length": n, "data-same": String(same) }, h("th", { scope: "row" }, n), h("td", { class: "lmw-number" }, `${a.toFixed(0)} ms`), h("td", { class: "lmw-number" }, `${b.toFixed(0)} ms`), h("td", { class: "lmw-number" }, (a / b).toFixed(1)), h("td", { class: "lmw-number" }, same ? "yes" : "no"))))));
    }
    clock.textContent = `The shortest of ${REPEATS} runs each, on this device.`;
    stopMeasuring();
  }

  function draw() {
    prompt.draw();
    player.draw();
    measure.disabled = !models.runner;
    if (!models.runner) { run++; key = ""; runner = null; return; }
    const wanted = JSON.stringify([model.get("chosen"), model.get("prompt")]);
    if (runner === models.runner && wanted === key) return drawStep();
    if (measuring) stopMeasuring();
    runner = models.runner;
    key = wanted;
    compute().catch((error) => { console.error(error); say(`The model could not compute: ${error.message}.`); });
  }
  const done = follow(model, ["chosen", "prompt", "step"], draw);
  return () => { done(); player.stop(); models.close(); run++; };
}

export default { render };
