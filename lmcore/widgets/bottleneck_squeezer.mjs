// Bottleneck squeezer: shows what Python translated for (sentence, squeeze), with every word's fate, beside BLEU against k.
import { button, clamp, controls, facts, follow, frame, h, select, slider, svg, write } from "./draw.mjs";
import { axes, draggable, lineLegend, plane, through, ticks } from "./plot.mjs";

const FATES = { "=": "right", x: "wrong", "-": "missing", "+": "extra" };
const GROUPS = { all: "measured", short: "rho", long: "bound" }; // whose curve is drawn in which style
const SHAPES = { all: "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z", short: "M0,-6L5.5,4.5H-5.5Z", long: "M-4.5,-4.5H4.5V4.5H-4.5Z" };
const words = (text) => text.split(/\s+/).filter(Boolean);
const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** Pairs of reference word and translated word, one per letter of the alignment; null where one side has none. */
function pair(reference, translation, letters) {
  const want = words(reference), have = words(translation);
  let i = 0, j = 0;
  return [...letters].map((letter) => ({ letter, want: letter === "+" ? null : want[i++], have: letter === "-" ? null : have[j++] }));
}

const count = (letters, letter) => letters.split(letter).length - 1;

/** The hourglass: a context of `full` cells through whose neck `kept` of them fit. */
function hourglass() {
  let last = null;
  const chart = plane(118, { role: "img" }, () => last && show(last));
  function show(data) {
    last = data;
    const { kept, full } = data, { width, height } = chart.size, middle = width / 2, most = Math.min(width - 24, 560);
    const cell = Math.min(16, most / full), neck = Math.max(cell * kept, 3) / 2, wide = most / 2 + 10, tall = 20, top = height / 2 - tall / 2, bottom = top + tall;
    const side = (s) => `M${middle + s * wide},0C${middle + s * wide},${top * 0.75} ${middle + s * neck},${top * 0.35} ${middle + s * neck},${top}V${bottom}`
      + `C${middle + s * neck},${height - top * 0.35} ${middle + s * wide},${height - top * 0.75} ${middle + s * wide},${height}`;
    const left = side(-1), right = side(1), reversed = `L${middle + wide},${height}C${middle + wide},${height - top * 0.75} ${middle + neck},${height - top * 0.35} ${middle + neck},${bottom}V${top}C${middle + neck},${top * 0.35} ${middle + wide},${top * 0.75} ${middle + wide},0Z`;
    const from = middle - neck, gap = cell > 5 ? 1.5 : 0.5;
    const parts = cell > 2.5 ? kept : 1, part = cell > 2.5 ? cell : 2 * neck + gap; // too thin to tell apart: one bar
    chart.node.replaceChildren(svg("path", { class: "lmw-sand", d: left + reversed }), svg("path", { class: "lmw-glass", d: left }), svg("path", { class: "lmw-glass", d: right }),
      ...Array.from({ length: parts }, (_, i) => svg("rect", { class: "lmw-cell", x: from + i * part + gap / 2, y: top, width: part - gap, height: tall })),
      svg("text", neck + 120 < wide ? { x: middle + neck + 14, y: height / 2 + 5 } : { x: middle, y: 18, "text-anchor": "middle" },
        svg("tspan", { class: "lmw-important" }, `${kept} of ${full}`), kept === 1 ? " number" : " numbers"));
    chart.node.setAttribute("aria-label", `The context vector keeps ${kept} of ${full} numbers.`);
  }
  return { node: chart.node, show, close: chart.close };
}

/** BLEU against k, and below it how many words of this sentence are right. */
function scoreChart({ choose }) {
  let last = null, nearest = () => 0;
  const chart = plane((width) => (width < 420 ? 300 : 330), { role: "img" }, () => last && show(last));
  const back = svg("g"), lines = svg("g"), pad = svg("rect", { class: "lmw-pad" });
  chart.node.append(back, lines, pad);
  draggable(chart.node, pad, ([x]) => choose(nearest(x)));
  function show(data) {
    last = data;
    const { scores, squeezes, right, at } = data, { width, height } = chart.size;
    const box = { left: 40, right: width - 14, top: 10, bottom: height - 138 }, low = { top: height - 88, bottom: height - 42 };
    const room = (box.right - box.left) / squeezes.length, x = (i) => box.left + room * (i + 0.5);
    const most = Math.max(...Object.values(scores).flat()), high = [1, 2, 5, 10, 20, 40, 60, 80, 100].find((v) => v >= most) ?? 100;
    const y = (v) => box.bottom - ((box.bottom - box.top) * v) / high, part = (share) => low.bottom - (low.bottom - low.top) * share;
    nearest = (px) => clamp(Math.floor((px - box.left) / room), 0, squeezes.length - 1);
    for (const [key, v] of Object.entries({ x: box.left, y: 0, width: box.right - box.left, height: height - 24 })) pad.setAttribute(key, v);
    const places = squeezes.map((_, i) => i);
    back.replaceChildren(svg("rect", { class: "lmw-beyond", x: x(at) - room / 2, width: room, y: 0, height: low.bottom }),
      axes({ box, x, y, xTicks: [], yTicks: ticks(0, high, 4), xTitle: "" }),
      axes({ box: { ...box, ...low }, x, y: part, xTicks: places, yTicks: [0, 1], xText: (i) => squeezes[i], yText: (v) => `${100 * v} %`, xTitle: "k, numbers that the context keeps" }),
      svg("text", { class: "lmw-axis-title", x: box.left, y: low.top - 12 }, "words of this sentence that are right"));
    lines.replaceChildren(...right.map((share, i) => svg("rect", { class: "lmw-share" + (i === at ? " lmw-here-share" : ""), "data-value": share, x: x(i) - room * 0.28, width: room * 0.56, y: part(share), height: low.bottom - part(share) })),
      ...Object.entries(scores).reverse().flatMap(([name, values]) => [
        svg("path", { class: `lmw-curve lmw-curve-${GROUPS[name]}`, d: through(values.map((v, i) => [x(i), y(v)])) }),
        ...values.map((v, i) => svg("path", { class: `lmw-score lmw-dot-${GROUPS[name]}`, d: SHAPES[name], "data-group": name, "data-value": v, transform: `translate(${x(i)},${y(v)}) scale(${i === at ? 1.5 : 1})` }))]));
    chart.node.setAttribute("aria-label", `BLEU over all sentences for each k: ${squeezes.map((k, i) => `${k}: ${scores.all[i].toFixed(1)}`).join(", ")}.`);
  }
  return { node: chart.node, show, close: chart.close };
}

function render({ model, el }) {
  const texts = model.get("texts"), references = model.get("references"), translations = model.get("translations"), letters = model.get("marks");
  const squeezes = model.get("squeezes"), full = model.get("full"), scores = model.get("scores"), sizes = model.get("sizes"), split = model.get("split");
  const [[source, sourceCode], [target, targetCode]] = model.get("languages");
  const { body, say } = frame(model, el, "squeezer", "Bottleneck squeezer",
    "squeeze the context step by step. Which words go first? Then take a longer sentence through the same neck.");
  const sentenceNow = () => clamp(model.get("sentence"), 0, texts.length - 1), at = () => Math.max(0, squeezes.indexOf(model.get("squeeze")));
  const takeSentence = (i) => write(model, { sentence: clamp(i, 0, texts.length - 1) });
  const choose = (i) => write(model, { squeeze: squeezes[clamp(i, 0, squeezes.length - 1)] });

  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶ Squeeze it"; };
  const play = button("▶ Squeeze it", () => {
    if (timer !== null) return stop();
    if (at() === 0) choose(squeezes.length - 1);
    play.textContent = "❚❚ Pause";
    timer = setInterval(() => { choose(at() - 1); if (at() === 0) stop(); }, 1100);
  }, { class: "lmw-primary" });
  const pick = select("Sentence, shortest first", texts.map((text) => {
    const all = words(text);
    return `${plural(all.length, "word")}: ${all.slice(0, 7).join(" ")}${all.length > 7 ? " …" : ""}`;
  }), takeSentence);
  const shorter = button("◀ Shorter", () => takeSentence(sentenceNow() - 1)), longer = button("Longer ▶", () => takeSentence(sentenceNow() + 1));
  const width = slider("Numbers kept, k", (i) => { stop(); choose(i); });
  width.input.max = squeezes.length - 1;
  const kept = h("span", { class: "lmw-set", "aria-hidden": "true" });
  width.node.querySelector("label").append(" ", kept);

  const from = h("p", { class: "lmw-sentence", lang: sourceCode }), to = h("p", { class: "lmw-sentence lmw-hidden", lang: targetCode });
  const pairs = h("ul", { class: "lmw-pairs", lang: targetCode, "aria-label": "Translation beside the reference, word by word" });
  const glass = hourglass(), chart = scoreChart({ choose }), numbers = h("div", { class: "lmw-facts lmw-lab-facts" });
  const key = h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" }, Object.entries({ x: "wrong", "-": "missing", "+": "too many" }).map(([letter, text]) =>
    h("span", {}, h("i", { class: `lmw-fate lmw-fate-${FATES[letter]}` }, letter === "x" ? "≠" : letter === "-" ? "?" : "+"), text)), h("span", {}, "Small, above: the reference."));
  const named = { all: `all ${sizes.all}`, short: sizes.short ? `short (up to ${split} words)` : "", long: sizes.long ? `long (over ${split})` : "" };
  body.append(controls(pick.node, shorter, longer), controls(width.node, play),
    h("div", { class: "lmw-flow" }, h("p", { class: "lmw-caption" }, source), from, glass.node, h("p", { class: "lmw-caption" }, target), to, pairs, key),
    numbers, h("div", {}, h("p", { class: "lmw-caption" }, "BLEU against the numbers kept"), chart.node,
      lineLegend(Object.fromEntries(Object.entries(named).map(([name, text]) => [GROUPS[name], text]))),
      h("p", { class: "lmw-note lmw-signature" }, `sacrebleu ${model.get("signature")}`)));

  const done = follow(model, ["sentence", "squeeze"], () => {
    const s = sentenceNow(), i = at(), found = letters[s][i], k = squeezes[i], want = words(references[s]).length;
    const right = letters[s].map((row) => count(row, "=") / Math.max(words(references[s]).length, 1));
    pick.input.selectedIndex = s;
    shorter.disabled = s === 0;
    longer.disabled = s === texts.length - 1;
    width.input.value = i;
    width.input.setAttribute("aria-valuetext", `${k} of ${full} numbers`);
    kept.textContent = `= ${k} of ${full}`;
    from.textContent = texts[s];
    to.textContent = translations[s][i];
    glass.show({ kept: k, full });
    pairs.replaceChildren(...pair(references[s], translations[s][i], found).map(({ letter, want: good, have }) => h("li", { class: `lmw-pair lmw-pair-${FATES[letter]}`, "data-letter": letter, "data-want": good, "data-have": have },
      h("span", { class: "lmw-want", "aria-hidden": letter === "=" ? "true" : null }, letter === "-" ? h("span", { class: "lmw-hidden" }, "missing: ") : null, letter === "x" ? h("span", { class: "lmw-hidden" }, "instead of ") : null, good ?? "\u00a0"),
      h("span", { class: "lmw-have" }, letter === "+" ? h("span", { class: "lmw-hidden" }, "too many: ") : null, letter === "x" ? h("span", { class: "lmw-hidden" }, "wrong: ") : null,
        letter === "=" ? null : h("i", { class: `lmw-fate lmw-fate-${FATES[letter]}`, "aria-hidden": "true" }, letter === "x" ? "≠" : letter === "-" ? "?" : "+"), h("span", { class: "lmw-word-now" }, have ?? "")))));
    chart.show({ scores, squeezes, right, at: i });
    const tell = { right: count(found, "="), wrong: count(found, "x"), missing: count(found, "-"), extra: count(found, "+") };
    numbers.replaceChildren(...facts({
      right: ["Right in this sentence", `${tell.right} of ${want}`, tell.right],
      ...Object.fromEntries(Object.entries(scores).map(([name, values]) => [name, [`BLEU, ${named[name]}`, values[i].toFixed(1), values[i]]])),
    }));
    say(`With ${k} of ${full} numbers, BLEU over all ${sizes.all} sentences is ${scores.all[i].toFixed(1)}`
      + (sizes.long ? `, ${scores.short[i].toFixed(1)} over the short ones and ${scores.long[i].toFixed(1)} over the long ones. ` : ". ")
      + `Of the ${want} words of this reference ${tell.right} ${tell.right === 1 ? "is" : "are"} right, ${tell.wrong} wrong and ${tell.missing} missing; ${plural(tell.extra, "word")} too many.`);
  });
  return () => { stop(); done(); glass.close(); chart.close(); };
}

export default { render };
