// Soft look-up.
import { frame } from "./draw.mjs";

function render({ model, el }) {
  const { say } = frame(model, el, "look-up", "Soft look-up", "");
  say(model.get("alt"));
}

export default { render };
