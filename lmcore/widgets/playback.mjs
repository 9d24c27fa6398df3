// Back, on, play and a slider over the steps 0 … last of a trait.
import { button, clamp, controls, h, slider, write } from "./draw.mjs";

const PAUSE = 1100; // milliseconds between two steps

/** `last()` is the last step there is; `after` may say what follows when a step was chosen. */
export function playback(model, el, { trait = "step", last, label = "Step" }) {
  const now = () => model.get(trait), goTo = (n) => write(model, { [trait]: clamp(n, 0, last()) });
  const shown = h("span", { class: "lmw-set", "aria-hidden": "true" }), scale = slider(label, (n) => { stop(); goTo(n); });
  scale.node.querySelector("label").append(" ", shown);
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  const back = button("Back", () => { stop(); goTo(now() - 1); }), on = button("Next", () => { stop(); goTo(now() + 1); });
  const play = button("Play", () => {
    if (timer) return stop();
    if (now() >= last()) goTo(0);
    play.textContent = "Pause";
    timer = setInterval(() => { if (!el.isConnected || now() >= last()) stop(); else goTo(now() + 1); }, PAUSE);
  });
  return {
    node: controls(back, on, play, scale.node), stop,
    draw() {
      const n = Math.min(now(), last());
      scale.input.max = last();
      scale.input.value = n;
      shown.textContent = `${n} of ${last()}`;
      scale.input.setAttribute("aria-valuetext", shown.textContent);
      back.disabled = n <= 0;
      on.disabled = n >= last();
    },
  };
}
