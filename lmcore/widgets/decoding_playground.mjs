// The decoding playground: continues a prompt by the model in the page, greedily or by drawing, as the reader sets it.
import { bar, button, controls, facts, follow, frame, h, legend, percent, radios, slider, textbox, write } from "./draw.mjs";
import { inSlices, softmax } from "./engine.mjs";
import { modelChooser } from "./page_models.mjs";
import { promptBox } from "./prompts.mjs";
import { drawn, filtered, likeliest, randomNumbers, ranked } from "./sampling.mjs";

const METHODS = ["greedy", "draw"], NAMES = ["Greedy", "Draw"], TOP = 8, GRAM = 3;
const TOP_K = [0, 1, 2, 3, 5, 10, 20, 40, 80, 160, 320]; // 0 keeps all
const two = (x) => String(Math.round(x * 100) / 100);

/** The share of runs of n tokens that stood in the text before. */
function repeated(ids, n) {
  const grams = ids.slice(n - 1).map((_, i) => ids.slice(i, i + n).join(" "));
  return grams.length ? 1 - new Set(grams).size / grams.length : 0;
}

/** The distribution of the next token by the model, and the one that is taken from: `how` are the settings. */
function distributions(logits, read, never, { method, temperature, top_k, top_p, repetition }) {
  const shared = { read, never, repetition: repetition === 1 ? null : repetition };
  const own = method === "greedy" ? {} : { temperature, top_k: top_k || null, top_p: top_p < 1 ? top_p : null };
  const scores = filtered(logits, { ...shared, ...own }), p = softmax(filtered(logits, { never }));
  if (method === "draw") return { p, q: softmax(scores) };
  const best = likeliest(scores);
  return { p, q: scores.map((_, i) => (i === best ? 1 : 0)) };
}

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "playground", "Decoding playground", "write greedily, then draw at temperature 1, at 0.5, at 1.5. Where does the text go wrong, and how probable was the token that led it there?");
  const ranges = model.get("ranges"), length = model.get("length");
  const prompt = promptBox(model, { reset: { upto: length, place: -1 } });
  const models = modelChooser(model, box, { redraw: draw, choose: prompt.choose });
  const set = (changes) => write(model, { ...changes, upto: length, place: -1 });

  // ---- settings ----
  const way = radios("Choose each token", NAMES, (i) => set({ method: METHODS[i] }));
  function setting(label, steps, read, change, name) {
    const shown = h("span", { class: "lmw-set", "aria-hidden": "true" }), it = slider(label, (n) => change(steps[n]));
    it.node.querySelector("label").append(" ", shown);
    it.input.max = steps.length - 1;
    return { node: it.node, draw() {
      const value = read(), near = steps.reduce((best, step, n) => (Math.abs(step - value) < Math.abs(steps[best] - value) ? n : best), 0);
      it.input.value = near;
      shown.textContent = name(value);
      it.input.setAttribute("aria-valuetext", name(value));
      it.input.disabled = model.get("method") === "greedy" && label !== "Repetition penalty";
    } };
  }
  const grid = (name) => { const [low, high] = ranges[name], n = Math.round((high - low) / 0.05); return Array.from({ length: n + 1 }, (_, i) => Math.round((low + 0.05 * i) * 100) / 100); };
  const settings = [
    setting("Temperature", grid("temperature"), () => model.get("temperature"), (v) => set({ temperature: v }), two),
    setting("Top-k", TOP_K.slice(1).concat(0), () => model.get("top_k"), (v) => set({ top_k: v }), (v) => (v ? String(v) : "all")),
    setting("Top-p", grid("top_p"), () => model.get("top_p"), (v) => set({ top_p: v }), (v) => (v < 1 ? two(v) : "1 (all)")),
    setting("Repetition penalty", grid("repetition"), () => model.get("repetition"), (v) => set({ repetition: v }), (v) => (v > 1 ? two(v) : "1 (none)")),
  ];
  const seed = textbox("Seed", { inputmode: "numeric", pattern: "[0-9]*", size: 8 }, (text) => {
    const n = Number(text);
    if (/^\d+$/.test(text.trim()) && n < 2 ** 31) set({ seed: n }); else seed.input.value = model.get("seed");
  });
  const another = button("Another seed", () => set({ seed: (model.get("seed") + 1) % 2 ** 31 }));
  const stop = button("Stop", () => write(model, { upto: steps.length })), one = button("One token", () => write(model, { upto: steps.length + 1 }));
  const goOn = button("Go on", () => write(model, { upto: length }), { class: "lmw-primary" }), again = button("Begin anew", () => write(model, { upto: 0, place: -1 }));

  // ---- what is written ----
  const whole = h("p", { class: "lmw-written" }), chips = h("div", { class: "lmw-reads lmw-chips", role: "group", "aria-label": "Token by token, with the probability that the model gives each. A token shows what else could have stood there." });
  const numbers = h("div", { class: "lmw-facts lmw-row" }), choice = h("div", { class: "lmw-answer" });
  body.append(...models.nodes, ...prompt.nodes, controls(way.node, seed.node, another), h("div", { class: "lmw-sliders" }, settings.map((it) => it.node)), controls(goOn, stop, one, again),
    h("div", {}, h("p", { class: "lmw-caption" }, "The text"), whole), h("div", {}, h("p", { class: "lmw-caption" }, "Token by token"), chips), numbers, choice);

  let run = 0, key = "", ids = [], steps = [], busy = false, next = null, runner = null;
  const state = () => ({ chosen: model.get("chosen"), prompt: model.get("prompt"), method: model.get("method"), temperature: model.get("temperature"), top_k: model.get("top_k"), top_p: model.get("top_p"), repetition: model.get("repetition"), seed: model.get("seed") });
  const ended = () => steps.length > 0 && steps.at(-1).id === runner?.end;
  const taken = () => steps.map(({ id }) => id);

  function chip({ id, p }, n) {
    const it = button("", () => write(model, { place: model.get("place") === n ? -1 : n }), { class: "lmw-read lmw-chip", "data-token": id, "data-p": p });
    it.append(h("span", { class: "lmw-look", "aria-hidden": "true" }, h("i", { style: { height: `${100 * p}%` } })), h("span", { class: "lmw-read-text" }, runner.tokenizer.spell(id)), h("span", { class: "lmw-number" }, percent(p)));
    return it;
  }
  function drawText() {
    const { tokenizer, end } = runner, read = taken().filter((id) => id !== end), text = model.get("prompt"), extended = tokenizer.extend(text, read);
    whole.replaceChildren(extended.startsWith(text) ? h("span", { class: "lmw-given" }, text) : "", extended.startsWith(text) ? extended.slice(text.length) : extended, ended() ? h("span", { class: "lmw-note" }, " (the text ends)") : "");
    while (chips.children.length > steps.length) chips.lastChild.remove();
    for (let n = chips.children.length; n < steps.length; n++) chips.append(chip(steps[n], n));
  }
  function drawNumbers(time) {
    const bits = steps.reduce((sum, { p }) => sum - Math.log2(p), 0) / (steps.length || 1), left = steps.reduce((sum, s) => sum + s.left, 0) / (steps.length || 1);
    numbers.replaceChildren(...facts({
      tokens: ["tokens written", steps.length], bits: ["bits per token, by the model", bits.toFixed(2), bits], left: ["tokens to choose from, on average", left.toFixed(1), left],
      repeated: [`runs of ${GRAM} tokens that came before`, percent(repeated(taken(), GRAM)), repeated(taken(), GRAM)], ...(time ? { time: ["in your browser, per token", `${time.toFixed(1)} ms`] } : {}),
    }));
  }
  function drawPlace() {
    const n = model.get("place"), step = steps[n];
    [...chips.children].forEach((it, i) => it.setAttribute("aria-pressed", i === n));
    choice.replaceChildren();
    if (!step) return;
    const { tokenizer } = runner, most = Math.max(...step.table.map((row) => Math.max(row.p, row.q)));
    choice.append(h("p", { class: "lmw-caption" }, `Token ${n + 1}: what could have stood there`), legend({ model: "by the model", truth: "what was chosen from" }),
      h("table", { class: "lmw-table lmw-words" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Token"), h("td", {}), h("th", { scope: "col" }, "Model"), h("th", { scope: "col" }, "Chosen from"))),
        h("tbody", {}, step.table.map(({ id, p, q }) => h("tr", { class: id === step.id ? "lmw-came" : null, "data-token": id, "data-p": p, "data-q": q },
          h("th", { scope: "row" }, tokenizer.spell(id), id === step.id ? h("span", { class: "lmw-flag" }, " ← taken") : null),
          h("td", { class: "lmw-bars lmw-playground-bars" }, bar("model", p / most), bar("truth", q / most)), h("td", { class: "lmw-number" }, percent(p)), h("td", { class: "lmw-number" }, percent(q)))))));
  }
  function drawControls() {
    way.show(METHODS.indexOf(model.get("method")));
    for (const it of settings) it.draw();
    if (document.activeElement !== seed.input) seed.input.value = model.get("seed");
    seed.input.disabled = another.disabled = model.get("method") === "greedy";
    const full = steps.length >= length || ended();
    stop.disabled = !busy;
    goOn.disabled = one.disabled = !runner || busy || full || !ids.length;
    again.disabled = !steps.length;
  }
  function refuse(sentence) {
    steps = [];
    ids = [];
    for (const it of [whole, chips, numbers, choice]) it.replaceChildren();
    say(sentence);
  }

  /** Write on until there are so many tokens, one after the other, with room for the page between them. */
  async function grow() {
    const mine = ++run, how = state(), { end, never } = runner, began = performance.now(), from = steps.length;
    let time = 0;
    busy = true;
    drawControls();
    while (steps.length < model.get("upto") && !ended()) {
      const read = [...ids, ...taken()], logits = await inSlices(runner.begin(read), () => mine !== run);
      if (logits === null || mine !== run) return;
      const { p, q } = distributions(logits, read, never, how), id = how.method === "greedy" ? likeliest(q) : drawn(q, next()), order = ranked(p).slice(0, TOP);
      steps.push({ id, p: p[id], q: q[id], left: q.reduce((n, x) => n + (x > 0), 0), table: (order.includes(id) ? order : [...order.slice(0, -1), id]).map((i) => ({ id: i, p: p[i], q: q[i] })) });
      drawText();
      time = (performance.now() - began) / (steps.length - from);
    }
    busy = false;
    box.dataset.written = `${key} ${steps.length}`;
    drawText();
    drawNumbers(time);
    drawPlace();
    drawControls();
    const bits = steps.reduce((sum, { p }) => sum - Math.log2(p), 0) / (steps.length || 1);
    say(steps.length ? `${models.label}, ${how.method === "greedy" ? "greedily" : `drawn with seed ${how.seed}`}: ${steps.length} tokens, ${bits.toFixed(2)} bits per token by the model${ended() ? "; the text has ended" : ""}.` : "Nothing is written yet.");
  }

  function draw() {
    prompt.draw();
    const wanted = JSON.stringify(state());
    if (runner !== models.runner) { runner = models.runner; key = ""; }
    if (!runner) { run++; busy = false; key = ""; refuse(""); return drawControls(); }
    if (wanted !== key) { // another text
      run++;
      key = wanted;
      busy = false;
      const found = prompt.read(runner, length);
      refuse("");
      if (typeof found === "string") { say(found); return drawControls(); }
      ids = found;
      next = randomNumbers(model.get("seed"));
    }
    if (!ids.length) return drawControls();
    const upto = model.get("upto");
    if (upto < steps.length && !busy) { // taken back: the same random numbers come again
      steps = steps.slice(0, upto);
      next = randomNumbers(model.get("seed"));
      if (model.get("method") === "draw") for (let n = 0; n < steps.length; n++) next();
    }
    if (busy && upto > steps.length) return drawControls();
    grow().catch((error) => { console.error(error); busy = false; refuse(`The model could not compute: ${error.message}.`); drawControls(); });
  }
  const done = follow(model, ["chosen", "prompt", "method", "temperature", "top_k", "top_p", "repetition", "seed", "upto"], draw);
  const place = follow(model, ["place"], () => runner && drawPlace());
  return () => { done(); place(); models.close(); run++; };
}

export default { render };
