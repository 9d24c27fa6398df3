// Attention calculator: self-attention on a few words, step by step, with every number of the inputs open to change.
import { breadth, dot, softmax } from "./attention.mjs";
import { button, checkbox, clamp, controls, follow, frame, h, radios, write } from "./draw.mjs";

const STEPS = ["Q", "K", "V", "QKᵀ", "÷ √D", "mask", "softmax", "AV"];
const INPUTS = { x: "X", w_q: "Q", w_k: "K", w_v: "V" }; // trait → X, or the letter of its W
const transposed = (m) => m[0].map((_, j) => m.map((row) => row[j]));
const times = (a, b) => { const columns = transposed(b); return a.map((row) => columns.map((column) => dot(row, column))); };

/** All matrices of the calculation. */
function compute({ x, w_q: wq, w_k: wk, w_v: wv, causal, scaled }) {
  const [q, k, v] = [wq, wk, wv].map((w) => times(x, w)), scores = times(q, transposed(k)), root = scaled ? Math.sqrt(k[0].length) : 1;
  const divided = scores.map((row) => row.map((s) => s / root)), mask = scores.map((row, t) => row.map((_, s) => (causal && s > t ? -Infinity : 0)));
  const masked = divided.map((row, t) => row.map((s, j) => s + mask[t][j])), weights = masked.map(softmax);
  return { x, w_q: wq, w_k: wk, w_v: wv, q, k, v, scores, divided, mask, masked, weights, y: times(weights, v) };
}

/** A number for a cell: two decimals, fewer where they are zero, powers of ten where it is long. */
function cellText(x) {
  if (x === -Infinity) return "−∞";
  const text = Math.abs(x) >= 1e5 ? x.toExponential(1) : Math.abs(x) >= 100 ? String(Math.round(x * 10) / 10) : String(Math.round(x * 100) / 100);
  return (Number(text) === 0 ? "0" : text).replace("-", "−");
}
const rounded = (...numbers) => numbers.some((x) => Number.isFinite(x) && Math.abs(x * 100 - Math.round(x * 100)) > 1e-9);
const bracketed = (x) => (x < 0 ? `(${cellText(x)})` : cellText(x));

function render({ model, el }) {
  const tokens = model.get("tokens"), T = tokens.length, limit = model.get("limit"), given = model.get("given"), D = given.w_q[0].length;
  const { body, say } = frame(model, el, "calculator", "Attention calculator",
    "click a number of a result to see its sum. Then change a number of X: which rows of the result change with it?");
  const stepNow = () => clamp(model.get("step"), 0, STEPS.length - 1);
  const letters = { q: "Q", k: "K", v: "V", kt: "Kᵀ", scores: "QKᵀ", divided: "S", mask: "M", masked: "S + M", weights: "A", y: "Y" };
  const sub = (letter) => [h("i", {}, "W"), h("sub", {}, letter)];
  const nameOf = (key) => (key === "x" ? ["X"] : key in INPUTS ? sub(INPUTS[key]) : [letters[key]]);
  const said = (key) => (key === "x" ? "X" : key in INPUTS ? `W ${INPUTS[key]}` : letters[key]);
  const overWords = new Set(["scores", "divided", "mask", "masked", "weights"]); // whose columns are words

  // ---- matrices whose numbers can be changed: made once, so that a cursor stays where it is ----
  const note = h("p", { class: "lmw-note lmw-warning", role: "alert" });
  const editors = Object.fromEntries(Object.keys(INPUTS).map((key) => {
    const inputs = given[key].map((row, i) => row.map((_, j) => {
      const where = `${said(key)}, ${key === "x" ? `“${tokens[i]}”` : `row ${i + 1}`}, column ${j + 1}`;
      const input = h("input", { type: "number", step: 0.1, min: -limit, max: limit, "aria-label": where, oninput: () => edit(input, where, key, i, j), onchange: () => settle(input, key, i, j) });
      return input;
    }));
    return [key, { inputs, node: table(key, given[key], (i, j) => inputs[i][j]) }];
  }));
  function edit(input, where, key, i, j) {
    const value = input.value.trim() === "" ? NaN : Number(input.value), fits = Math.abs(value) <= limit;
    input.setAttribute("aria-invalid", String(!fits));
    note.textContent = fits ? "" : `${where}: write a number from −${limit} to ${limit}.`;
    if (fits) write(model, { [key]: model.get(key).map((row, r) => (r === i ? row.map((old, c) => (c === j ? value : old)) : row)) });
  }
  function settle(input, key, i, j) { // what is no number goes back to the one before
    if (input.getAttribute("aria-invalid") === "true") { input.value = model.get(key)[i][j]; input.setAttribute("aria-invalid", "false"); }
  }

  /** A matrix as a table: its name and shape, words or numbers at its sides, `inside(i, j)` in its cells. */
  function table(key, matrix, inside, { lit = {}, extra = () => ({}) } = {}) {
    const byWord = key === "kt" || overWords.has(key), rowWords = key !== "kt" && !(key in INPUTS && key !== "x");
    const side = (i) => (rowWords ? tokens[i] : i + 1), top = (j) => (byWord ? tokens[j] : j + 1);
    const clip = (word) => h("span", { class: "lmw-side", title: word }, word);
    return h("div", { class: "lmw-operand", "data-matrix": key, "data-name": said(key) }, h("table", { class: "lmw-numbers" },
      h("caption", {}, h("b", {}, nameOf(key)), ` ${matrix.length} × ${matrix[0].length}`),
      h("thead", {}, h("tr", {}, h("td", {}), matrix[0].map((_, j) => h("th", { scope: "col", class: j === lit.column ? "lmw-lit" : "" }, clip(top(j)))))),
      h("tbody", {}, matrix.map((row, i) => h("tr", {}, h("th", { scope: "row", class: i === lit.row ? "lmw-lit" : "" }, clip(side(i))),
        row.map((value, j) => h("td", { "data-value": value, class: i === lit.row || j === lit.column || (lit.cell?.[0] === i && lit.cell[1] === j) ? "lmw-lit" : "", ...extra(i, j) }, inside(i, j))))))));
  }
  const plain = (key, matrix, lit) => table(key, matrix, (i, j) => cellText(matrix[i][j]), { lit });
  /** Marks a row or a column of a matrix of inputs. */
  function light(node, { row, column }) {
    node.querySelectorAll("tbody tr").forEach((line, i) => [...line.children].forEach((cell, j) => cell.classList.toggle("lmw-lit", i === row || (j > 0 && j - 1 === column))));
    node.querySelectorAll("thead th").forEach((cell, j) => cell.classList.toggle("lmw-lit", j === column));
  }

  // ---- controls and places ----
  const goTo = (i) => write(model, { step: clamp(i, 0, STEPS.length - 1), column: Math.min(model.get("column"), columnsAt(clamp(i, 0, STEPS.length - 1)) - 1) });
  const columnsAt = (i) => (i === 2 || i === 7 ? given.w_v[0].length : i < 2 ? D : T);
  const pick = radios("Step", STEPS, goTo), back = button("◀ Back", () => goTo(stepNow() - 1)), next = button("Next step ▶", () => goTo(stepNow() + 1), { class: "lmw-primary" });
  const causal = checkbox("causal mask", (on) => write(model, { causal: on })), scaled = checkbox("divide by √D", (on) => write(model, { scaled: on }));
  const again = button("Numbers as given", () => { note.textContent = ""; write(model, structuredClone(given)); });
  const left = h("div", { class: "lmw-operands" }), result = h("div", { class: "lmw-result", tabindex: 0, role: "group" }), sum = h("p", { class: "lmw-sum" });
  const others = h("div", { class: "lmw-operands" }), more = h("details", { class: "lmw-more" }, h("summary", {}, "Numbers to change"), others);
  const equation = h("div", { class: "lmw-equation" }, left, h("span", { class: "lmw-sign", "aria-hidden": "true" }, "="), result);
  body.append(pick.node, controls(back, next, causal.node, scaled.node, again), equation, sum, more, note);

  const moveTo = (row, column) => write(model, { row: clamp(row, 0, T - 1), column: clamp(column, 0, columnsAt(stepNow()) - 1) });
  result.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moveTo(model.get("row") + way[0], model.get("column") + way[1]);
  });

  // ---- one step: what is multiplied, what comes out, and the sum behind one number ----
  const product = (a, b, out, names) => ({ operands: [names[0], names[1]], matrices: [a, b], sign: "×", out, sum: (i, j) => [a[i], b.map((row) => row[j])] });
  function stage(step, m) {
    const key = ["q", "k", "v", "scores", "divided", "masked", "weights", "y"][step], out = m[key];
    if (step < 3) return { key, ...product(m.x, m[["w_q", "w_k", "w_v"][step]], out, ["x", ["w_q", "w_k", "w_v"][step]]) };
    if (step === 3) return { key, ...product(m.q, transposed(m.k), out, ["q", "kt"]) };
    if (step === 4) return { key, operands: ["scores"], matrices: [m.scores], sign: scaledNow() ? `÷ √${D}` : "÷ 1", out };
    if (step === 5) return { key, operands: ["divided", "mask"], matrices: [m.divided, m.mask], sign: "+", out };
    if (step === 6) return { key, operands: ["masked"], matrices: [m.masked], sign: "softmax", out };
    return { key, ...product(m.weights, m.v, out, ["weights", "v"]) };
  }
  const scaledNow = () => model.get("scaled");
  /** How the number (i, j) of the result comes about. */
  function derivation(step, found, i, j) {
    const value = found.out[i][j], shown = `${step < 3 || step === 7 ? `${said(found.key)} (“${tokens[i]}”, ${j + 1})` : `“${tokens[i]}” and “${tokens[j]}”`}: `;
    const equals = (...numbers) => (Number.isFinite(value) && rounded(value, ...numbers) ? " ≈ " : " = ");
    if (found.sum) {
      const [a, b] = found.sum(i, j);
      return [shown, a.map((x, n) => `${bracketed(x)}·${bracketed(b[n])}`).join(" + "), equals(...a, ...b), h("b", {}, cellText(value))];
    }
    if (step === 4) return [shown, cellText(found.matrices[0][i][j]), scaledNow() ? ` / √${D}` : " / 1", equals(found.matrices[0][i][j]), h("b", {}, cellText(value))];
    if (step === 5) return [shown, `${cellText(found.matrices[0][i][j])} + ${bracketed(found.matrices[1][i][j])}`, equals(found.matrices[0][i][j]), h("b", {}, cellText(value))];
    const row = found.matrices[0][i], high = Math.max(...row) > 20 ? Math.max(...row) : 0, power = (s) => ["e", h("sup", {}, high ? `${cellText(s)} − ${cellText(high)}` : cellText(s))];
    if (row[j] === -Infinity) return [shown, power(row[j]), " / (…) = ", h("b", {}, "0"), ", for a forbidden word weighs exactly nothing"];
    const total = row.reduce((all, s) => all + Math.exp(s - high), 0);
    return [shown, power(row[j]), " / (", row.flatMap((s, n) => (n ? [" + ", ...power(s)] : power(s))), `) ≈ ${cellText(Math.exp(row[j] - high))} / ${cellText(total)} ≈ `, h("b", {}, cellText(value))];
  }

  const meaning = [
    (m, i) => `The query of “${tokens[i]}”: what it looks for.`, (m, i) => `The key of “${tokens[i]}”: what it can be found by.`, (m, i) => `The value of “${tokens[i]}”: what it gives to those who find it.`,
    (m, i, j) => `The score of “${tokens[i]}” for “${tokens[j]}” is the dot product of the query of the first and the key of the second.`,
    () => (scaledNow() ? `Scores are divided by the square root of ${D}, the width of a key.` : "The division is switched off: the scores stay as they are."),
    (m, i, j) => (m.mask[i][j] ? `“${tokens[i]}” may not look at “${tokens[j]}”, which comes later: its score becomes minus infinity.` : `“${tokens[i]}” may look at “${tokens[j]}”: its score stays.`),
    (m, i) => `The row of “${tokens[i]}” sums to 1. It is spread as if evenly over ${breadth(m.weights[i]).toFixed(2)} words.`,
    (m, i) => `The output of “${tokens[i]}” is the mean of all values, weighted by its row of A.`,
  ];

  /** A matrix that is wider than its place can be scrolled by keyboard, too. */
  function reachable() {
    for (const it of body.querySelectorAll(".lmw-operand")) {
      const wide = it.scrollWidth > it.clientWidth && !it.querySelector("input, button");
      for (const [name, value] of Object.entries({ tabindex: 0, role: "group", "aria-label": `${it.dataset.name}, wider than its place` })) if (wide) it.setAttribute(name, value); else it.removeAttribute(name);
    }
  }
  const watcher = new ResizeObserver(reachable);
  watcher.observe(body);

  let placed = null;
  const done = follow(model, [...Object.keys(INPUTS), "causal", "scaled", "step", "row", "column"], () => {
    const state = Object.fromEntries([...Object.keys(INPUTS), "causal", "scaled"].map((name) => [name, model.get(name)]));
    const step = stepNow(), m = compute(state), found = stage(step, m), i = clamp(model.get("row"), 0, T - 1), j = clamp(model.get("column"), 0, columnsAt(step) - 1);
    pick.show(step);
    back.disabled = step === 0;
    next.disabled = step === STEPS.length - 1;
    causal.input.checked = state.causal;
    scaled.input.checked = state.scaled;
    for (const [key, { inputs }] of Object.entries(editors)) inputs.forEach((row, r) => row.forEach((input, c) => {
      if (input !== document.activeElement || (input.value !== "" && Number(input.value) !== state[key][r][c] && input.getAttribute("aria-invalid") !== "true")) input.value = state[key][r][c];
    }));
    const lit = (n) => (found.sum ? (n ? { column: j } : { row: i }) : step === 6 ? { row: i } : {});
    const sign = () => h("span", { class: "lmw-sign", "aria-hidden": "true" }, found.sign);
    if (step < 3) {
      if (placed !== step) left.replaceChildren(editors.x.node, sign(), editors[found.operands[1]].node);
      found.operands.forEach((key, n) => light(editors[key].node, lit(n)));
    } else left.replaceChildren(...found.operands.flatMap((key, n) => [n ? sign() : null, plain(key, found.matrices[n], found.sum || step === 6 ? lit(n) : { cell: [i, j] })]).filter(Boolean), ...(found.operands.length === 1 ? [sign()] : []));
    if (placed !== step) {
      const rest = Object.keys(INPUTS).filter((key) => step >= 3 || !found.operands.includes(key));
      for (const key of rest) light(editors[key].node, {});
      others.replaceChildren(...rest.map((key) => editors[key].node));
      placed = step;
    }
    const heavy = step === 6 ? (r, c) => ({ style: { "--lm-share": `${100 * found.out[r][c]}%` } }) : () => ({});
    result.replaceChildren(table(found.key, found.out, (r, c) => button(cellText(found.out[r][c]), () => moveTo(r, c), { tabindex: -1, "aria-current": r === i && c === j ? "true" : null }), { extra: heavy }));
    result.setAttribute("aria-label", `${said(found.key)}, ${found.out.length} rows, ${found.out[0].length} columns. Arrow keys choose a number.`);
    result.classList.toggle("lmw-shares", step === 6);
    sum.replaceChildren(...derivation(step, found, i, j).flat(Infinity));
    say(`Step ${step + 1} of ${STEPS.length}. ${meaning[step](m, i, j)} Chosen: ${cellText(found.out[i][j])}.`);
    reachable();
  });
  return () => { done(); watcher.disconnect(); };
}

export default { render };
