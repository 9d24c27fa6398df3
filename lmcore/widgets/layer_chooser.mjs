// Layer chooser: which layers make good features for finding names.
import { frame } from "./draw.mjs";

function render({ model, el }) {
  frame(model, el, "layers", "Layer chooser", "choose layers.");
}

export default { render };
