// Models that a figure computes with: at hand in JupyterLab, on a built page loaded once the figure comes into view or is used.
//
//   const loader = modelLoader(model, box, { open, key, redraw });
//   body.append(...loader.nodes);     // word of the loading, and of what went wrong
//   loader.opened                     // what `open` gave for the present key; null until it is there, then comes `redraw`
//   loader.load()                     // at once, as when the reader asks for it, or after `key()` has changed
//   loader.wanted                     // whether anything was to be loaded yet
//
// `open(key, progress)` gives a promise, and tells progress(loaded, all) in bytes; `key()` says which of several models is wanted.
// box.dataset.state is "waiting", "loading", "ready" or "failed".
import { button, h } from "./draw.mjs";

const NEAR = "300px";
const megabytes = (n) => `${(n / 1e6).toFixed(1)} MB`;

export function modelLoader(model, box, { open, redraw, key = () => 0 }) {
  const opened = new Map(); // of each model that was asked for: what it is, or null while it loads
  const meter = h("progress", { max: 1, value: 0, "aria-label": "Loading the model" }), said = h("span", {});
  const loading = h("p", { class: "lmw-note lmw-loading" }, meter, " ", said), trouble = h("div", { class: "lmw-trouble", role: "alert" });
  const it = { nodes: [loading, trouble], wanted: false, load, close: () => sight.disconnect(), get opened() { return opened.get(key()) ?? null; } };
  const tell = (state, text = null) => { box.dataset.state = state; loading.hidden = state === "ready"; if (text !== null) said.textContent = text; };

  /** Load the present model if that has not begun, and say how it stands with it. */
  async function load() {
    const mine = key(), present = () => mine === key();
    it.wanted = true;
    trouble.replaceChildren();
    if (opened.get(mine)) return tell("ready");
    meter.value = 0;
    tell("loading"); // how far it is comes with the first bytes
    if (opened.has(mine)) return;
    opened.set(mine, null);
    try {
      opened.set(mine, await open(mine, (part, all) => {
        if (!present()) return;
        meter.value = part / all;
        said.textContent = `Loading the model: ${megabytes(part)} of ${megabytes(all)}.`;
      }));
      if (!present()) return;
      tell("ready");
      redraw();
    } catch (error) {
      console.error(error);
      opened.delete(mine);
      if (!present()) return;
      tell("failed", "");
      trouble.replaceChildren(h("p", {}, `This figure could not start: ${error.message}.`), h("p", {}, model.get("alt")), button("Try again", load));
    }
  }
  const sight = new IntersectionObserver((seen) => { if (seen.some((entry) => entry.isIntersecting)) { sight.disconnect(); load(); } }, { rootMargin: NEAR });
  tell("waiting", "The model is loaded when this figure comes into view.");
  box.addEventListener("focusin", load, { once: true });
  sight.observe(box);
  return it;
}
