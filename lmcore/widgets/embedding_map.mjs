// Embedding map: points on a plane, neighbours by cosine in the full space, analogies by arithmetic on unit vectors.
import { bar, button, checkbox, controls, f32, follow, frame, h, radios, textbox, uid, write } from "./draw.mjs";
import { mapView } from "./map_view.mjs";

const MODES = ["neighbours", "analogy"];
const LABELS = ["Neighbours of a word", "Analogy"];

/** Cosines of all unit vectors with `query`, divided by the length of the query. */
function cosines(vectors, width, query) {
  let length = 0;
  for (const x of query) length += x * x;
  length = Math.sqrt(length) || 1;
  const out = new Float64Array(vectors.length / width);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += vectors[i * width + j] * query[j];
    out[i] = sum / length;
  }
  return out;
}

/** The k indices of largest score, best first; equal scores keep the order of the words. */
function best(scores, k, without) {
  return [...scores.keys()].filter((i) => !without.includes(i)).sort((i, j) => scores[j] - scores[i] || i - j).slice(0, k);
}

/** The dot product of every row with `axis`. */
const along = (vectors, width, axis) => Float64Array.from({ length: vectors.length / width },
  (_, i) => axis.reduce((sum, x, j) => sum + x * vectors[i * width + j], 0));

/** All words projected on the plane through a, b and c: x along a − b, y across it towards c. null where these span no plane.
    On the map of principal components an analogy's arrows may be too short to see; in this plane they keep their length. */
function planeOf(vectors, width, a, b, c) {
  const difference = (i, j) => Float64Array.from({ length: width }, (_, d) => vectors[i * width + d] - vectors[j * width + d]);
  const dot = (u, v) => u.reduce((sum, x, d) => sum + x * v[d], 0);
  const unit = (u) => { const length = Math.sqrt(dot(u, u)); return length > 1e-6 ? u.map((x) => x / length) : null; };
  const x = unit(difference(a, b)), side = difference(c, b), y = x && unit(side.map((s, d) => s - dot(side, x) * x[d]));
  if (!y) return null;
  const [across, up] = [along(vectors, width, x), along(vectors, width, y)];
  return Float64Array.from({ length: 2 * across.length }, (_, i) => (i % 2 ? up : across)[i >> 1]);
}

function render({ model, el }) {
  const words = model.get("words"), vectors = f32(model.get("vectors")), width = vectors.length / words.length;
  const index = new Map(words.map((word, i) => [word, i]));
  const row = (i) => vectors.subarray(i * width, (i + 1) * width);
  const { box, body, say } = frame(model, el, "map", "Embedding map",
    "click a word to see its nearest neighbours; then choose Analogy and ask for another capital.");

  const listId = uid("words");
  const datalist = h("datalist", { id: listId }, words.map((word) => h("option", { value: word })));
  const note = h("p", { class: "lmw-note lmw-warning", role: "alert" });
  /** A box for one word; an unknown word is named and the figure stays as it is. */
  const wordBox = (label, use) => textbox(label, { list: listId }, (value) => {
    const word = value.trim();
    if (index.has(word)) { note.textContent = ""; use(word); return; }
    const near = words.filter((w) => w.toLowerCase().startsWith(word.toLowerCase().slice(0, 2))).slice(0, 5);
    note.textContent = `“${word}” is not among the ${words.length} words of this map.` + (near.length ? ` Some that are: ${near.join(", ")}.` : "");
  });

  const pickMode = radios("Show", LABELS, (i) => write(model, { mode: MODES[i] }));
  const search = wordBox("Word", (word) => write(model, { word }));
  const three = ["a", "b", "c"].map((_, i) => wordBox(["Start with", "take away", "add"][i], (word) => {
    write(model, { analogy: model.get("analogy").map((old, j) => (j === i ? word : old)) });
  }));
  const sign = (text) => h("span", { class: "lmw-sign", "aria-hidden": "true" }, text);
  const leaveOut = checkbox("Leave out these three words", (checked) => write(model, { exclude: checked }));
  const askWord = controls(search.node);
  const askThree = h("div", { class: "lmw-analogy" }, h("div", { class: "lmw-controls" }, three[0].node, sign("−"), three[1].node, sign("+"), three[2].node, sign("= ?")), leaveOut.node);
  const answers = h("tbody");
  const answersTitle = h("p", { class: "lmw-caption" });
  const view = mapView({
    words, places: f32(model.get("places")), kept: model.get("kept"), groupNames: model.get("group_names"), groupOf: model.get("group_of"),
    choose: (i) => write(model, { word: words[i], mode: "neighbours" }),
  });
  body.append(datalist, controls(pickMode.node), askWord, askThree, note,
    h("div", { class: "lmw-columns lmw-map-columns" }, view.node,
      h("div", {}, answersTitle, h("table", { class: "lmw-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Word"), h("td", {}), h("th", { scope: "col" }, "Cosine"))), answers))));

  function list(found, scores) {
    const top = Math.max(scores[found[0]], 1e-9);
    answers.replaceChildren(...found.map((i) => h("tr", { "data-word": words[i], "data-cosine": scores[i] },
      h("th", { scope: "row" }, button(words[i], () => write(model, { word: words[i], mode: "neighbours" }), { class: "lmw-link", title: `Neighbours of ${words[i]}` })),
      h("td", { class: "lmw-bars" }, bar("model", scores[i] / top)), h("td", { class: "lmw-number" }, scores[i].toFixed(2)))));
  }

  function neighbours() {
    const word = index.has(model.get("word")) ? model.get("word") : words[0], i = index.get(word);
    const scores = cosines(vectors, width, row(i)), found = best(scores, model.get("k"), [i]);
    search.input.value = word;
    answersTitle.textContent = `Nearest to “${word}”`;
    list(found, scores);
    view.showNeighbours(i, found);
    say(`The nearest neighbours of “${word}” are ${found.slice(0, 3).map((j) => `“${words[j]}” (${scores[j].toFixed(2)})`).join(", ")}.`);
  }

  function analogy() {
    const given = model.get("analogy"), [a, b, c] = given.map((word) => index.get(word));
    three.forEach(({ input }, j) => { input.value = given[j]; });
    const query = Float64Array.from(row(a), (x, j) => x - row(b)[j] + row(c)[j]);
    const scores = cosines(vectors, width, query), found = best(scores, model.get("k"), model.get("exclude") ? [a, b, c] : []);
    answersTitle.textContent = `${given[0]} − ${given[1]} + ${given[2]} =`;
    list(found, scores);
    view.showAnalogy(a, b, c, found, planeOf(vectors, width, a, b, c));
    say(`${given[0]} − ${given[1]} + ${given[2]} comes closest to “${words[found[0]]}” (cosine ${scores[found[0]].toFixed(2)}), then “${words[found[1]]}” (${scores[found[1]].toFixed(2)}).`);
  }

  const done = follow(model, ["mode", "word", "analogy", "exclude", "k"], () => {
    const asks = model.get("mode") === "analogy";
    pickMode.show(asks ? 1 : 0);
    askWord.hidden = asks;
    askThree.hidden = !asks;
    leaveOut.input.checked = model.get("exclude");
    note.textContent = "";
    if (asks) analogy(); else neighbours();
  });
  return () => { view.close(); done(); };
}

export default { render };
