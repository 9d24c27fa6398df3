// What figures with language models in the page share: the choice among them, and loading the chosen one when it is needed. The
// figure is a ModelFigure of page_models.py. Used like this:
//
//   const models = modelChooser(model, box, { redraw: draw });
//   body.append(...models.nodes);            // the choice, where there is more than one model, and word of the loading
//   function draw() { if (!models.runner) return; … }   // `runner` is null until the chosen model is there; then comes `redraw`
//   const done = follow(model, ["chosen", …], draw);
//   return () => { done(); models.close(); };
//
// `models.load()` loads at once, as when a button asks for it; see model_loader.mjs. `choose(i)` may replace what happens when
// the reader chooses model i.
import { select, write } from "./draw.mjs";
import { modelLoader } from "./model_loader.mjs";
import { openRunner } from "./runner.mjs";

/** What a runner reads of a text, its start in front, or a sentence that says why it cannot. */
export function idsOf({ tokenizer, start }, text) {
  const strange = tokenizer.pieces(text).filter(({ ids }) => !ids.length).map((piece) => `“${piece.text}”`);
  const units = tokenizer.kind === "characters" ? "characters" : "words";
  if (strange.length) return `Not in the model's vocabulary of ${tokenizer.vocabulary.length} ${units}: ${[...new Set(strange)].join(", ")}. Use other ${units}.`;
  const ids = [...start, ...tokenizer.encode(text)];
  return ids.length ? ids : "Write something: this model needs at least one token to begin with.";
}

export function modelChooser(model, box, { redraw, label = "Model", choose = (i) => write(model, { chosen: i }) }) {
  const labels = model.get("labels"), chosen = () => model.get("chosen"), pick = labels.length > 1 ? select(label, labels, choose) : null;
  const loader = modelLoader(model, box, { redraw, key: chosen, open: (i, progress) => openRunner(model, `weights${i}`, progress) });
  const other = () => {
    if (pick) pick.input.selectedIndex = chosen();
    if (loader.wanted) loader.load();
  };
  other();
  model.on("change:chosen", other);
  return {
    nodes: [...(pick ? [pick.node] : []), ...loader.nodes], pick, load: loader.load,
    get runner() { return loader.opened; },
    get label() { return labels[chosen()]; },
    close() { loader.close(); model.off("change:chosen", other); },
  };
}
