// Layer chooser: layers and how they are combined, the entity tags that a tagger finds with them, and the F1 of every choice.
import { array, arrowKeys, button, checkbox, clamp, controls, facts, follow, frame, h, radios, write } from "./draw.mjs";

const ONE = "one layer", SUM = "weighted sum", CONCATENATION = "concatenation", COMBINED = [CONCATENATION, SUM];

/** The rows of Table 7 of Devlin et al. for an encoder of L layers, as [name, layers, how]; no layers where L is too small. */
function tableOf(L) {
  const four = L >= 4 ? [L - 3, L - 2, L - 1, L] : null, every = Array.from({ length: L }, (_, l) => l + 1);
  return [["Embeddings", [0], ONE], ["Second-to-last layer", L > 1 ? [L - 1] : null, ONE], ["Last layer", [L], ONE],
    ["Weighted sum of the last four", four, SUM], ["Concatenation of the last four", four, CONCATENATION], ["Weighted sum of all layers", L > 1 ? every : null, SUM]];
}

/** The spans of IOB tags as [first word, last word, type], as conlleval reads them: a span may begin with I-. */
function spansOf(tags) {
  const found = [];
  tags.forEach((tag, t) => {
    if (tag === "O") return;
    const type = tag.slice(2), open = t > 0 && found.at(-1)?.[1] === t - 1 && found.at(-1)[2] === type;
    if (tag.startsWith("I-") && open) found.at(-1)[1] = t; else found.push([t, t, type]);
  });
  return found;
}

/** How one sentence went: its true and its predicted spans, each with whether the other side has it. */
function compare(gold, predicted) {
  const [truth, guess] = [spansOf(gold), spansOf(predicted)], among = (spans) => { const ids = new Set(spans.map(String)); return (span) => ids.has(String(span)); };
  const isGuessed = among(guess), isTrue = among(truth);
  return { truth: truth.map((span) => ({ span, hit: isGuessed(span) })), guess: guess.map((span) => ({ span, hit: isTrue(span) })), hits: guess.filter(isTrue).length };
}

/** F1 of counted spans, 0 where it is 0/0. */
const f1Of = ({ hits, guess, truth }) => (hits ? (2 * hits) / (guess + truth) : 0);
const named = (layers) => (layers.length === 1 && layers[0] === 0 ? "the embeddings" : layers.includes(0) ? `the embeddings and ${named(layers.slice(1))}` : `${layers.length > 1 ? "layers" : "layer"} ${layers.join(layers.length === 2 ? " and " : ", ")}`);
const upper = (text) => text[0].toUpperCase() + text.slice(1);
const ordinal = (n) => (n === 1 ? "the best" : `number ${n}`);

function render({ model, el }) {
  const sentences = model.get("sentences"), places = model.get("places"), measured = model.get("measured"), depth = model.get("depth"), names = model.get("names");
  const layers = model.get("layers"), how = model.get("how"), scores = model.get("scores"), tags = model.get("tags"), size = sentences.reduce((sum, words) => sum + words.length, 0);
  const { body, say } = frame(model, el, "layers", "Layer chooser", "before you look at the chart, guess which single layer finds most names, and whether several layers together find more.");
  const types = [...new Set(tags.filter((tag) => tag !== "O").map((tag) => tag.slice(2)))];
  const decode = (flat) => { let at = 0; return sentences.map((words) => Array.from(flat.subarray(at, (at += words.length)), (code) => tags[code])); };
  const gold = decode(array(Uint8Array, model.get("gold"))), predicted = array(Uint8Array, model.get("predicted")), guessed = names.map((_, i) => decode(predicted.subarray(i * size, (i + 1) * size)));
  const now = () => clamp(model.get("choice"), 0, names.length - 1), f1 = scores.map((score) => score[2]), places_ = (x) => x.toFixed(3);
  const idOf = (set, way) => `${[...set].sort((a, b) => a - b)} ${set.length > 1 ? way : ONE}`, ids = layers.map((set, i) => idOf(set, how[i]));

  // What is ticked. Only what was computed becomes the model's choice; anything else stays here, and the figure says so.
  let draft = null, followed = -1;
  const draftOf = (i) => ({ set: layers[i], way: how[i] === ONE ? draft?.way ?? COMBINED.find((way) => how.includes(way)) ?? CONCATENATION : how[i] });
  function attempt(next) {
    draft = next;
    const i = ids.indexOf(idOf(draft.set, draft.way));
    if (i >= 0 && i !== now()) write(model, { choice: i }); else draw();
  }
  const choose = (i) => attempt(draftOf(i));

  const table = tableOf(depth).map(([name, set, way]) => {
    const i = set ? ids.indexOf(idOf(set, way)) : -1;
    return { i, name, reason: i >= 0 ? "" : set ? "not computed" : `there ${depth === 1 ? "is" : "are"} only ${depth} layer${depth === 1 ? "" : "s"}`, node: button(name, () => choose(i), { disabled: i < 0 }) };
  });
  const missing = table.filter(({ i }) => i < 0);
  const six = h("div", { class: "lmw-controls lmw-find", role: "group", "aria-label": "The six choices of BERT's Table 7" }, h("span", { "aria-hidden": "true" }, "The six choices of BERT’s Table 7"), table.map(({ node }) => node));
  const boxes = Array.from({ length: depth + 1 }, (_, l) => {
    const box = checkbox(l ? `${l}` : "embeddings", (on) => attempt({ ...draft, set: on ? [...draft.set, l].sort((a, b) => a - b) : draft.set.filter((k) => k !== l) }));
    box.input.disabled = !layers.some((set) => set.includes(l));
    if (box.input.disabled) box.node.title = "in none of the choices that were computed";
    return box;
  });
  const layerField = h("fieldset", { class: "lmw-field lmw-radios" }, h("legend", {}, "Layers"), boxes.map(({ node }) => (node.classList.remove("lmw-field"), node)));
  const ways = radios("Combined by", COMBINED, (i) => attempt({ ...draft, way: COMBINED[i] }));
  const notice = h("div", { class: "lmw-warning lmw-notice", hidden: true });
  const numbers = h("div", { class: "lmw-facts lmw-six" }), title = h("p", { class: "lmw-caption" }), stack = h("div", { class: "lmw-tagged-stack" });
  const key = h("p", { class: "lmw-legend lmw-groups", "aria-hidden": "true" }, [["hit", "✓ found"], ["missed", "○ true, but missed"], ["wrong", "✗ predicted, but not true"]].map(([kind, text]) => h("span", {}, h("i", { class: `lmw-key-tag lmw-tag-${kind}` }), text)));
  const best = checkbox("best first", () => draw()), rows = h("tbody");
  const low = Math.max(0, Math.floor(Math.min(...f1) * 10 - 0.25) / 10), high = Math.min(1, Math.max(low + 0.1, Math.ceil(Math.max(...f1) * 10 + 0.25) / 10)), along = (x) => (x - low) / (high - low);
  const chart = h("div", { class: "lmw-chart-box", tabindex: 0, role: "group", "aria-label": "F1 of every choice. Arrow keys go from choice to choice." },
    h("table", { class: "lmw-f1" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "choice"), h("th", { scope: "col", class: "lmw-f1-axis" }, h("span", {}, low.toFixed(1)), h("span", {}, "F1"), h("span", {}, high.toFixed(1))), h("th", { scope: "col" }, "F1"))), rows));
  body.append(six, missing.length ? h("p", { class: "lmw-note" }, `Not among them here: ${missing.map(({ name, reason }) => `${name.toLowerCase()} (${reason})`).join("; ")}.`) : "", controls(layerField, ways.node), notice,
    numbers, h("div", {}, title, key, stack), h("div", {}, h("div", { class: "lmw-controls lmw-f1-head" }, h("p", { class: "lmw-caption" }, `Span F1 of all ${names.length} choices, over ${measured} sentences`), best.node), chart));
  let order = names.map((_, i) => i);
  arrowKeys(chart, (by) => choose(order[clamp(order.indexOf(now()) + by, 0, order.length - 1)]));

  /** A tag of one word; `mark` says whether its span is found, missed or wrong, with a sign where the span begins. */
  function tagCell(tag, at, spans, row, kinds) {
    const found = spans.find(({ span }) => span[0] <= at && at <= span[1]);
    const say_ = h("span", { class: "lmw-hidden" }, `, ${row} `);
    if (!found) return [say_, h("span", { class: "lmw-tag lmw-tag-out", "data-tag": tag }, tag)];
    const { span: [first, last, type], hit } = found, kind = hit ? "hit" : kinds[0], sign = hit ? (row === "predicted" ? "✓" : "") : kinds[1];
    return [say_, h("span", { class: `lmw-tag lmw-tag-${kind}${at === first ? " lmw-tag-first" : ""}${at === last ? " lmw-tag-last" : ""}`, style: { "--tone": `var(--lm-${types.indexOf(type) % 8})` }, "data-tag": tag, "data-kind": kind },
      at === first && sign ? h("b", { "aria-hidden": "true" }, sign) : null, tag, at === first && row === "predicted" || !hit ? h("span", { class: "lmw-hidden" }, `, ${{ hit: "right", missed: "missed", wrong: "wrong" }[kind]}`) : null)];
  }

  function drawSentences(compared) {
    stack.replaceChildren(...sentences.map((words, n) => {
      const { truth, guess, hits } = compared[n], score = f1Of({ hits, truth: truth.length, guess: guess.length });
      return h("div", { class: "lmw-tagged-one" },
        h("p", { class: "lmw-note", "data-sentence": places[n], "data-f1": score }, `Sentence ${places[n] + 1}: `, truth.length + guess.length === 0 ? "no name, and none predicted" : `${hits} of ${truth.length} found, ${guess.length - hits} wrong, F1 ${score.toFixed(2)}`),
        h("ol", { class: "lmw-tagged" }, h("li", { class: "lmw-tagged-side", "aria-hidden": "true" }, h("span", {}, "\u00a0"), h("span", { class: "lmw-tag" }, "true"), h("span", { class: "lmw-tag" }, "predicted")),
          words.map((word, t) => h("li", {}, h("span", { class: "lmw-tagged-word" }, word), tagCell(gold[n][t], t, truth, "true", ["missed", "○"]), tagCell(guessed[now()][n][t], t, guess, "predicted", ["wrong", "✗"])))));
    }));
  }

  function drawChart() {
    order = names.map((_, i) => i);
    if (best.input.checked) order.sort((a, b) => f1[b] - f1[a]);
    const top = Math.max(...f1);
    rows.replaceChildren(...order.map((i) => {
      const it = h("tr", { "data-choice": i, "data-f1": f1[i], onclick: () => choose(i) }, h("th", { scope: "row" }, h("span", { class: "lmw-f1-sign", "aria-hidden": "true" }, i === now() ? "▶" : ""), button(names[i], () => {}, { class: "lmw-link", tabindex: -1 }), f1[i] === top ? h("span", { class: "lmw-flag" }, " best") : null),
        h("td", { class: "lmw-bars" }, h("div", { class: "lmw-track" }, h("i", { class: "lmw-pin", style: { left: `${100 * along(f1[i])}%` } }))), h("td", { class: "lmw-number" }, places_(f1[i])));
      if (i === now()) it.setAttribute("aria-current", "true");
      return it;
    }));
  }

  function drawNotice(i) {
    const known = ids.indexOf(idOf(draft.set, draft.way)) >= 0;
    notice.hidden = known;
    if (known) { notice.replaceChildren(); return ""; }
    const apart = (k) => draft.set.filter((l) => !layers[k].includes(l)).length + layers[k].filter((l) => !draft.set.includes(l)).length + (how[k] !== ONE && how[k] !== draft.way ? 0.5 : 0);
    const near = names.map((_, k) => k).sort((a, b) => apart(a) - apart(b)).slice(0, 4);
    const what = draft.set.length === 0 ? "No layer is ticked." : `${upper(draft.set.length > 1 ? `the ${draft.way} of ${named(draft.set)}` : named(draft.set))} ${draft.set.length === 1 && draft.set[0] === 0 ? "were" : "was"} not computed.`;
    const focus = notice.contains(document.activeElement);
    notice.replaceChildren(h("p", {}, `${what} Still shown: ${names[i]}. Nearest of the ${names.length} that were computed:`), h("div", { class: "lmw-near" }, near.map((k) => button(names[k], () => { choose(k); chart.focus({ preventScroll: true }); }))));
    if (focus) notice.querySelector("button").focus({ preventScroll: true });
    return what;
  }

  function draw() {
    const i = now();
    if (followed !== i || !draft) { draft = draftOf(i); followed = i; }
    table.forEach(({ i: k, node }) => node.setAttribute("aria-pressed", k === i && k >= 0));
    boxes.forEach(({ input }, l) => { input.checked = draft.set.includes(l); });
    ways.show(COMBINED.indexOf(draft.way));
    ways.inputs.forEach((input, w) => { input.disabled = draft.set.length < 2 || !how.includes(COMBINED[w]); });
    const refused = drawNotice(i), compared = sentences.map((_, n) => compare(gold[n], guessed[i][n]));
    const total = compared.reduce((sum, { truth, guess, hits }) => ({ truth: sum.truth + truth.length, guess: sum.guess + guess.length, hits: sum.hits + hits }), { truth: 0, guess: 0, hits: 0 });
    const here = f1Of(total), [precision, recall] = scores[i], rank = 1 + f1.filter((x) => x > f1[i]).length;
    numbers.replaceChildren(...facts({
      f1: [`F1, all ${measured} sentences`, places_(f1[i]), f1[i]], precision: ["precision: predicted names that are right", places_(precision), precision], recall: ["recall: true names that are found", places_(recall), recall],
      here: [sentences.length === 1 ? "F1, the sentence below" : `F1, the ${sentences.length} sentences below`, places_(here), here], found: ["found in them", `${total.hits} of ${total.truth}`, total.hits], wrong: ["wrong in them", `${total.guess - total.hits} of ${total.guess}`, total.guess - total.hits],
    }));
    title.textContent = `${upper(names[i])}: tags predicted in ${sentences.length === 1 ? "one sentence" : `${sentences.length} sentences`}, true ones above them`;
    drawSentences(compared);
    drawChart();
    say(`${refused ? `${refused} ` : ""}${upper(names[i])} (${named(layers[i])}${how[i] === ONE ? "" : `, ${how[i]}`}): F1 ${places_(f1[i])} over ${measured} sentences, ${ordinal(rank)} of ${names.length} choices. `
      + `In the sentences shown, ${total.hits} of ${total.truth} true names are found and ${total.guess - total.hits} of ${total.guess} predicted ones are wrong.`);
  }
  return follow(model, ["choice"], draw);
}

export default { render };
