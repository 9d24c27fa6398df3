// Prompt laboratory: a prompt of instruction, examples and question, and how several models go on from it, side by side.
import { bar, button, checkbox, clamp, controls, follow, frame, h, percent, select, slider, uid, write } from "./draw.mjs";
import { inSlices, softmax } from "./engine.mjs";
import { modelLoader } from "./model_loader.mjs";
import { openRunner } from "./runner.mjs";
import { filtered, likeliest, ranked } from "./sampling.mjs";

/** The parts of a prompt, in order: [kind, text]. Joined with one space they are what lmcore.widgets.PromptTask.prompt gives. */
function partsOf(task, question, shots, instructed) {
  const line = (...words) => words.filter((word) => word).join(" ");
  return [...(instructed && task.instruction ? [["instruction", task.instruction]] : []), ...task.shots.slice(0, shots).map(([q, a]) => ["shot", line(q, task.arrow, a)]), ["question", line(task.questions[question][0], task.arrow)]];
}
const NAMES = { instruction: "Instruction", shot: "Example", question: "Question", own: "Your prompt" };
/** The words of a text that a model reads as ⟨unk⟩, in quotation marks. */
function unknown({ number, pieces }, text) {
  const strange = pieces(text).filter((piece) => piece.text !== "<unk>" && piece.ids[0] === number.get("<unk>"));
  return [...new Set(strange.map((piece) => `“${piece.text}”`))];
}
const plainly = (text) => text.toLowerCase().split(/\s+/).filter((word) => word).join(" ");

/** What a model writes and with what it might have begun: { words: [[token, p], …], first: [[token, p], …], ended }. */
function* goOn(runner, prompt, { longest, stop, top }) {
  const { tokenizer, never, start, end, room } = runner, ids = [...start, ...tokenizer.encode(prompt)], words = [];
  const shares = function* () { return softmax(filtered(yield* runner.begin(ids), { never })); };
  let p = yield* shares(), ended = false;
  const first = ranked(p).slice(0, top).map((i) => [tokenizer.vocabulary[i], p[i]]);
  while (words.length < longest && !(words.length && words.at(-1)[0] === stop) && ids.length < room) {
    const token = likeliest(p);
    if (token === end) { ended = true; break; }
    ids.push(token);
    words.push([tokenizer.vocabulary[token], p[token]]);
    if (ids.length < room) p = yield* shares();
  }
  return { words, first, ended };
}

function render({ model, el }) {
  const { box, body, say } = frame(model, el, "prompt", "Prompt laboratory", "ask without an example, then with one, then with more. Which model needs them, and which follows the instruction alone?");
  const tasks = model.get("tasks"), labels = model.get("labels"), how = Object.fromEntries(["longest", "stop", "top"].map((name) => [name, model.get(name)]));
  const taskNow = () => tasks[model.get("task")], set = (changes) => write(model, { ...changes, own: "" });
  const pick = select("Task", tasks.map(({ name }) => name), (i) => set({ task: i, question: 0, shots: Math.min(model.get("shots"), tasks[i].shots.length) }));
  const ask = select("Question", [], (i) => set({ question: i })), with_ = checkbox("with the instruction", (on) => set({ instructed: on }));
  const count = slider("Examples", (n) => set({ shots: n })), shown = h("span", { class: "lmw-set", "aria-hidden": "true" });
  count.node.querySelector("label").append(" ", shown);
  const id = uid("prompt"), own = h("textarea", { id, rows: 3, maxlength: model.get("limit"), spellcheck: "false", oninput: () => write(model, { own: own.value }) });
  const back = button("Back to the composed prompt", () => set({}));
  const reading = h("div", { class: "lmw-prompt-parts", role: "group", "aria-label": "The parts of the prompt" }), strange = h("p", { class: "lmw-note", role: "alert" });
  const cards = labels.map((label, i) => {
    const place = h("div", { class: "lmw-prompt-card", "data-label": label }), text = h("p", { class: "lmw-prompt-text" }), verdict = h("p", { class: "lmw-note" }), table = h("div");
    const loader = modelLoader(model, place, { redraw: () => draw(), key: () => i, open: (n, progress) => openRunner(model, `weights${n}`, progress) });
    place.append(h("p", { class: "lmw-caption" }, label), ...loader.nodes, text, verdict, table);
    return { label, place, text, verdict, table, loader };
  });
  body.append(...(tasks.length > 1 ? [controls(pick.node)] : []), controls(ask.node, with_.node), controls(count.node), h("div", { class: "lmw-field" }, h("label", { for: id }, "The prompt"), own), controls(back), reading, strange, h("div", { class: "lmw-prompt-cards" }, cards.map(({ place }) => place)),
    h("p", { class: "lmw-note" }, "Each model writes the word that it finds likeliest, one after the other. Dashed: a word with less than half of the probability."));

  box.addEventListener("focusin", () => cards.forEach(({ loader }) => loader.load()), { once: true });

  let run = 0;
  async function draw() {
    const mine = ++run, task = taskNow(), question = clamp(model.get("question"), 0, task.questions.length - 1), shots = clamp(model.get("shots"), 0, task.shots.length);
    const parts = partsOf(task, question, shots, model.get("instructed")), composed = parts.map(([, text]) => text).join(" "), typed = model.get("own"), prompt = typed || composed;
    pick.input.selectedIndex = model.get("task");
    ask.input.replaceChildren(...task.questions.map(([text]) => h("option", {}, text)));
    ask.input.selectedIndex = question;
    ask.node.querySelector("label").textContent = `Question, ${question + 1} of ${task.questions.length}`;
    with_.input.checked = model.get("instructed");
    with_.node.hidden = !task.instruction;
    count.node.parentElement.hidden = !task.shots.length;
    count.input.max = task.shots.length;
    count.input.value = shots;
    count.input.setAttribute("aria-valuetext", shown.textContent = String(shots));
    if (own.value !== prompt) own.value = prompt;
    back.parentElement.hidden = !typed || typed === composed;
    reading.replaceChildren(...(prompt === composed ? parts : [["own", prompt]]).map(([kind, text]) => h("p", { class: `lmw-prompt-part lmw-prompt-${kind}`, "data-kind": kind }, h("span", { class: "lmw-tale-who" }, NAMES[kind] + ": "), text)));
    const wanted = (prompt === composed && task.questions[question][1]) || null, said = [];
    strange.textContent = "";
    for (const card of cards) {
      const runner = card.loader.opened;
      if (!runner) continue;
      try {
        const long = runner.start.length + runner.tokenizer.encode(prompt).length;
        if (!runner.tokenizer.encode(prompt).length) throw new Error("there is nothing to go on from");
        if (long > runner.room) throw new Error(`it has ${long} tokens, and the model reads at most ${runner.room}`);
        const strangers = unknown(runner.tokenizer, prompt);
        if (strangers.length) strange.textContent = `Not in the models' vocabulary of ${runner.tokenizer.vocabulary.length} words, and read as <unk>: ${strangers.join(", ")}.`;
      } catch (error) {
        clear(card, prompt);
        strange.textContent = `The models cannot read this prompt: ${error.message}.`;
        say(strange.textContent);
        continue;
      }
      const found = await inSlices(goOn(runner, prompt, how), () => mine !== run);
      if (found === null || mine !== run) return; // the prompt has changed meanwhile
      said.push(drawCard(card, prompt, found, wanted));
    }
    if (said.length) say(said.join(" "));
  }

  function clear({ place, text, verdict, table }, prompt) {
    for (const node of [text, verdict, table]) node.replaceChildren();
    place.dataset.prompt = prompt;
  }
  function drawCard({ label, place, text, verdict, table }, prompt, { words, first, ended }, wanted) {
    const answer = words.map(([word]) => word).join(" "), right = wanted === null ? null : plainly(answer) === plainly(wanted), most = first[0][1];
    text.replaceChildren(...words.flatMap(([word, p]) => [h("span", { class: p < 0.5 ? "lmw-word lmw-strange" : "lmw-word", "data-p": p, title: percent(p) }, word), " "]), ended ? h("span", { class: "lmw-note" }, words.length ? "(the text ends)" : "(nothing: the text ends)") : "");
    verdict.replaceChildren(...(right === null ? [] : [h("strong", {}, right ? "✓ right" : "✗ wrong"), right ? "" : `: the answer is “${wanted}”`]));
    table.replaceChildren(h("table", { class: "lmw-table lmw-words" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "First word"), h("td", {}), h("th", { scope: "col" }, "Probability"))),
      h("tbody", {}, first.map(([word, p]) => h("tr", { "data-word": word, "data-p": p }, h("th", { scope: "row" }, word), h("td", { class: "lmw-bars" }, bar("model", p / most)), h("td", { class: "lmw-number" }, percent(p)))))));
    Object.assign(place.dataset, { prompt, answer, right: String(right) });
    return `${label}: “${answer}”${right === null ? "" : right ? ", right" : ", wrong"}.`;
  }

  const done = follow(model, ["task", "question", "shots", "instructed", "own"], draw);
  return () => { done(); run++; for (const { loader } of cards) loader.close(); };
}

export default { render };
