// Text adventure: the reader walks and gives verbs, the model writes on, and the rules of adventure.mjs decide what it means.
import { button, controls, facts, follow, frame, h, percent, slider, svg, textbox, write } from "./draw.mjs";
import { inSlices, softmax } from "./engine.mjs";
import { modelChooser } from "./page_models.mjs";
import { filtered } from "./sampling.mjs";
import { Play, printed, writerOf } from "./adventure.mjs";

const OFFERED = 6, WHO = { rules: "Rules", you: "You", model: "Model", parrot: "Parrot" }, COLUMN = 92, ROW = 46;

/** The places and the paths between them: where one is, where one can go, where a keeper stands. */
function mapOf({ places, paths, keepers }, go) {
  const at = ([column, row]) => [column * COLUMN + COLUMN / 2, row * ROW + ROW / 2], sizes = Object.values(places);
  const width = (1 + Math.max(...sizes.map(([column]) => column))) * COLUMN, height = (1 + Math.max(...sizes.map(([, row]) => row))) * ROW;
  const node = svg("svg", { class: "lmw-tale-map", viewBox: `0 0 ${width} ${height}`, role: "img" });
  const lines = paths.map(([a, b]) => svg("path", { class: "lmw-wire", d: `M${at(places[a])}L${at(places[b])}` }));
  const marks = Object.entries(places).map(([name, place]) => {
    const [x, y] = at(place);
    return svg("g", { "data-place": name, transform: `translate(${x},${y})`, onclick: () => go(name) },
      svg("rect", { x: -40, y: -15, width: 80, height: 30, rx: 6 }), svg("text", { y: 4.5, "text-anchor": "middle" }, name));
  });
  node.append(...lines, ...marks);
  return { node, show(play) {
    for (const mark of marks) {
      const name = mark.dataset.place, closed = keepers.includes(name) && !play.opened.includes(name);
      mark.setAttribute("class", `lmw-tale-place${name === play.place ? " lmw-tale-here" : play.near().includes(name) ? " lmw-tale-near" : ""}${closed ? " lmw-tale-closed" : ""}`);
    }
    node.setAttribute("aria-label", `Map. You are at the ${play.place}, next to ${play.near().map((name) => "the " + name).join(", ")}.`);
  } };
}

function render({ model, el }) {
  const game = model.get("game"), letters = model.get("letters"), most = model.get("most");
  const { box, body, say } = frame(model, el, "tale", "Text adventure", "bring home what is wished for. You choose where to go and with which verb a sentence begins; the model writes the rest.");
  const models = modelChooser(model, box, { redraw: () => catchUp() });
  const send = (command) => { if (command.trim() && model.get("commands").length < most) write(model, { commands: [...model.get("commands"), command.trim().slice(0, letters)] }); };
  const restart = (seed) => write(model, { seed, commands: [] });

  const map = mapOf(game, (place) => { if (play.near().includes(place)) send(`go ${place}`); });
  const story = h("ol", { class: "lmw-tale-lines" }), log = h("div", { class: "lmw-tale-log", role: "log", "aria-label": "The story so far", tabindex: 0 }, story), state = h("div", { class: "lmw-facts lmw-thirds" });
  const ways = controls(), offers = controls(), riddle = controls(), waysTitle = h("p", { class: "lmw-caption" }, "Where to?"), offersTitle = h("p", { class: "lmw-caption" });
  const own = textbox("Or type it", { maxlength: letters, placeholder: "go market, found, say Oslo, ask, hint" }, () => {});
  const form = h("form", { class: "lmw-controls lmw-tale-form", onsubmit: (event) => { event.preventDefault(); const typed = own.input.value; own.input.value = ""; send(typed); } }, own.node, h("button", { type: "submit" }, "Do it"));
  const hint = button("Hint", () => send("hint")), again = button("Start again", () => restart(model.get("seed"))), other = button("Another game", () => restart((model.get("seed") + 1) % 2 ** 31));
  const heat = slider("Temperature", (i) => write(model, { temperature: i / 10, commands: [] })), shown = h("span", { class: "lmw-set", "aria-hidden": "true" });
  heat.node.querySelector("label").append(" ", shown);
  Object.assign(heat.input, { min: 1, max: 20 });
  const rules = h("details", { class: "lmw-more" }, h("summary", {}, "The rules"), h("ul", {}, game.rules.map((rule) => h("li", {}, rule))));
  const read = h("p", { class: "lmw-tale-read" }), reading = h("details", { class: "lmw-more" }, h("summary", {}, "What the model reads before your next verb"), read);
  body.append(...models.nodes, state, map.node, log, h("div", {}, waysTitle, ways), h("div", {}, offersTitle, offers, riddle), form, controls(hint, again, other), heat.node, rules, reading);

  // ---- the play follows the reader's commands: those that came are done one after the other, another past begins anew ----
  let play = null, seen = 0, made = "", busy = false, closed = false;
  const past = () => JSON.stringify([model.get("seed"), model.get("temperature")]);
  const commands = () => model.get("commands");
  let did = [];
  function begin() {
    made = past();
    did = [];
    seen = 0;
    play = new Play({ game, sources: model.get("sources"), longest: model.get("longest"), seed: model.get("seed"), write: (...how) => writerOf(models.runner, model.get("temperature"))(...how) });
    story.replaceChildren();
    tellOn();
  }
  const stale = () => closed || made !== past() || did.some((command, i) => commands()[i] !== command);

  async function catchUp() {
    if (!play || stale()) begin();
    drawState();
    if (busy || !models.runner) return;
    busy = true;
    try {
      while (!closed) {
        if (stale()) begin();
        const next = commands()[did.length];
        if (next === undefined) break;
        did.push(next);
        box.dataset.busy = "true";
        const now = play;
        await inSlices(now.act(next), stale);
        if (now === play && !stale()) tellOn();
      }
      if (!closed) await drawOffers();
    } catch (error) {
      console.error(error);
      say(`The model could not go on: ${error.message}.`);
    } finally {
      busy = false;
    }
    if (!closed && (stale() || commands().length > did.length)) catchUp();
    else box.dataset.busy = "false";
  }

  /** Write down what was said since the last time. */
  function tellOn() {
    const fresh = play.said.slice(seen);
    seen = play.said.length;
    story.append(...fresh.map(([who, text]) => h("li", { class: `lmw-tale-line lmw-tale-${who}`, "data-who": who }, h("span", { class: "lmw-tale-who" }, WHO[who] + ": "), h("span", { class: "lmw-tale-text" }, text))));
    log.scrollTop = log.scrollHeight;
    drawState();
    const last = play.said.findLast(([who]) => who !== "you");
    say(play.over ? { won: "You have won. Another game has other wishes.", lost: "You have lost. Start again, or take another game." }[play.over] : `${play.hours} of ${game.hours} hours left. ${last[1]}`);
  }

  function drawState() {
    const have = play.wishes.filter((thing) => play.bag.includes(thing)), rest = play.bag.filter((thing) => !play.wishes.includes(thing)), over = !!play.over;
    state.replaceChildren(...facts({ wishes: ["Wished for", play.wishes.map((thing) => `${have.includes(thing) ? "✓" : "○"}\u00a0${thing}`).join(", ")], bag: ["Also in your bag", rest.join(", ") || "nothing"], hours: ["Hours left", String(play.hours)] }));
    map.show(play);
    keep(ways, play.near().map((place) => button(`${game.keepers.includes(place) && !play.opened.includes(place) ? "Ask to enter" : "Go to"} the ${place}`, () => send(`go ${place}`), { disabled: over, "data-command": `go ${place}` })));
    for (const node of [own.input, hint, form.querySelector("button")]) node.disabled = over;
    again.disabled = !commands().length;
    heat.input.value = Math.round(model.get("temperature") * 10);
    heat.input.setAttribute("aria-valuetext", shown.textContent = model.get("temperature").toFixed(1));
    read.textContent = play.before;
    riddle.hidden = !play.asked || over;
    offers.hidden = !riddle.hidden || over;
    offersTitle.hidden = over;
    offersTitle.textContent = play.asked ? `The keeper of the ${play.asked} waits for an answer: type “say” and the answer, or` : `${printed(`${play.deed ? "Then" : "There"} ${game.she}`)} …`;
    keep(riddle, play.asked ? [button("Ask the parrot", () => send("ask"), { "data-command": "ask" })] : []);
  }

  /** Other buttons in a row; a button that stays keeps the focus, and if it is gone the story gets it. */
  function keep(row, nodes) {
    const focused = row.contains(document.activeElement) ? document.activeElement.dataset.command : null;
    row.replaceChildren(...nodes);
    if (focused) (nodes.find((node) => node.dataset.command === focused && !node.disabled) ?? log).focus({ preventScroll: true });
  }

  /** The verbs that the model finds likeliest here. */
  async function drawOffers() {
    const now = play, runner = models.runner, { tokenizer, never, start } = runner, number = (verb) => tokenizer.number.get(verb);
    const logits = await inSlices(runner.begin([...start, ...tokenizer.encode(now.before)]), stale);
    if (!logits || stale()) return;
    const p = softmax(filtered(logits, { never })), order = [...game.verbs].sort((a, b) => p[number(b)] - p[number(a)] || number(a) - number(b)).slice(0, OFFERED);
    keep(offers, order.map((verb) => button([verb, " ", h("small", {}, percent(p[number(verb)]))], () => send(verb), { "data-command": verb, "data-p": p[number(verb)], disabled: !!now.over })));
  }

  const done = follow(model, ["seed", "temperature", "commands"], catchUp);
  return () => { closed = true; done(); models.close(); };
}

export default { render };
