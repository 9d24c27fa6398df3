import { frame, h } from "./draw.mjs";

function render({ model, el }) {
  frame(model, el, "soon", "Figure", "read what it will show.").body.append(h("p", {}, model.get("alt")));
}

export default { render };
