// Attention calculator.
import { frame } from "./draw.mjs";

function render({ model, el }) {
  const { say } = frame(model, el, "calculator", "Attention calculator", "");
  say(model.get("alt"));
}

export default { render };
