// Head explorer.
import { frame } from "./draw.mjs";

function render({ model, el }) {
  const { say } = frame(model, el, "heads", "Head explorer", "");
  say(model.get("alt"));
}

export default { render };
