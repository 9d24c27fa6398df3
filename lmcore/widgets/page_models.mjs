// What figures with models in the page share: the choice among them, and loading the chosen one when it is needed. The figure is
// a ModelFigure of page_models.py. Used like this:
//
//   const models = modelChooser(model, box, { redraw: draw });
//   body.append(...models.nodes);            // the choice, where there is more than one model, and word of the loading
//   function draw() { if (!models.runner) return; … }   // `runner` is null until the chosen model is there; then comes `redraw`
//   const done = follow(model, ["chosen", …], draw);
//   return () => { done(); models.close(); };
//
// `models.load()` loads at once, as when a button asks for it; without it the figure waits until it comes into view or is used.
// `choose(i)` may replace what happens when the reader chooses model i. box.dataset.state is "waiting", "loading", "ready" or "failed".
import { button, h, select, write } from "./draw.mjs";
import { openRunner } from "./runner.mjs";

const NEAR = "300px";
const megabytes = (n) => `${(n / 1e6).toFixed(1)} MB`;

export function modelChooser(model, box, { redraw, label = "Model", choose = (i) => write(model, { chosen: i }) }) {
  const labels = model.get("labels"), runners = new Map(); // of each model that was asked for: its runner, or null while it loads
  const pick = labels.length > 1 ? select(label, labels, choose) : null;
  const meter = h("progress", { max: 1, value: 0, "aria-label": "Loading the model" }), said = h("span", {});
  const loading = h("p", { class: "lmw-note lmw-loading" }, meter, " ", said), trouble = h("div", { class: "lmw-trouble", role: "alert" });
  let wanted = false;
  const tell = (state, text = "") => { box.dataset.state = state; loading.hidden = state === "ready"; said.textContent = text; };

  /** Load the chosen model if that has not begun, and say how it stands with it. */
  async function load() {
    const chosen = model.get("chosen"), now = () => chosen === model.get("chosen");
    wanted = true;
    trouble.replaceChildren();
    if (runners.get(chosen)) return tell("ready");
    meter.value = 0;
    tell("loading", "Loading the model.");
    if (runners.has(chosen)) return;
    runners.set(chosen, null);
    try {
      runners.set(chosen, await openRunner(model, `weights${chosen}`, (part, all) => {
        if (!now()) return;
        meter.value = part / all;
        said.textContent = `Loading the model: ${megabytes(part)} of ${megabytes(all)}.`;
      }));
      if (!now()) return;
      tell("ready");
      redraw();
    } catch (error) {
      console.error(error);
      runners.delete(chosen);
      if (!now()) return;
      tell("failed");
      trouble.replaceChildren(h("p", {}, `This figure could not start: ${error.message}.`), h("p", {}, model.get("alt")), button("Try again", load));
    }
  }
  const sight = new IntersectionObserver((seen) => { if (seen.some((entry) => entry.isIntersecting)) { sight.disconnect(); load(); } }, { rootMargin: NEAR });
  const other = () => {
    if (pick) pick.input.selectedIndex = model.get("chosen");
    if (wanted) load();
  };
  other();
  model.on("change:chosen", other);
  tell("waiting", "The model is loaded when this figure comes into view.");
  box.addEventListener("focusin", load, { once: true });
  sight.observe(box);
  return {
    nodes: [...(pick ? [pick.node] : []), loading, trouble], pick, load,
    get runner() { return runners.get(model.get("chosen")) ?? null; },
    get label() { return labels[model.get("chosen")]; },
    close() { sight.disconnect(); model.off("change:chosen", other); },
  };
}
