// Alignment explorer.
import { frame } from "./draw.mjs";

function render({ model, el }) {
  const { say } = frame(model, el, "alignment", "Alignment explorer", "");
  say(model.get("alt"));
}

export default { render };
