// Caption attention.
import { frame } from "./draw.mjs";

function render({ model, el }) {
  frame(model, el, "patches", "Caption attention", "choose a patch.");
}

export default { render };
