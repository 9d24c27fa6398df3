// The drawing core that every figure shares: elements, labelled native controls, bars, the frame with its status line.
// Colours and patterns live in style.css; a figure names a role ("model", "truth") and never a colour.

// ---- data -------------------------------------------------------------------------------------------------------------

/** Typed array from a Bytes trait (a DataView in every host). A copy: the bytes may lie at an odd address. */
export function array(Type, view) {
  const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
  return new Type(bytes.slice().buffer);
}
export const f32 = (view) => array(Float32Array, view);
export const u16 = (view) => array(Uint16Array, view);

/** Set several traits at once and send them to Python where there is one. */
export function write(model, changes) {
  model.set(changes);
  model.save_changes();
}

/** Draw now and after every change of one of the traits, once however many of them changed together. */
export function follow(model, traits, draw) {
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => { waiting = false; draw(); });
  };
  const events = traits.map((name) => "change:" + name);
  for (const event of events) model.on(event, soon);
  draw();
  return () => { for (const event of events) model.off(event, soon); };
}

// ---- numbers in words -------------------------------------------------------------------------------------------------

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
export const bits = (x) => (x === Infinity ? "∞" : x.toFixed(2));
export function percent(p) {
  if (p === 0) return "0 %";
  if (p >= 0.9995) return p >= 0.999995 ? "100 %" : "99.9 %";
  if (p < 0.0001) return "< 0.01 %";
  return (100 * p).toFixed(p < 0.01 ? 2 : 1) + " %";
}

// ---- elements ---------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  // In JupyterLab an arrow key belongs to the control that has the focus, not to the notebook's shortcuts.
  if (element.matches("input, select, button, textarea, [tabindex]")) element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}
/** HTML element: h("button", { class: "x", onclick: f }, "text", child). */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
/** The same for SVG. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** An id no other figure on the page has; each figure is its own copy of this module, so the counter is the page's. */
export function uid(prefix) {
  globalThis.lmwIds = (globalThis.lmwIds ?? 0) + 1;
  return `lmw-${prefix}-${globalThis.lmwIds}`;
}

// ---- native controls, each with its label ------------------------------------------------------------------------------

export function select(label, options, onchange) {
  const id = uid("select");
  const input = h("select", { id, onchange: () => onchange(input.selectedIndex) },
    options.map((text) => h("option", {}, text)));
  return { input, node: h("div", { class: "lmw-field" }, h("label", { for: id }, label), input) };
}

/** Radio buttons in a fieldset; `show(i)` selects one without calling back. */
export function radios(label, options, onchange) {
  const name = uid("radio");
  const inputs = options.map((_, i) => h("input", { type: "radio", name, value: i, onchange: () => onchange(i) }));
  const node = h("fieldset", { class: "lmw-field lmw-radios" }, h("legend", {}, label),
    options.map((text, i) => h("label", {}, inputs[i], h("span", {}, text))));
  return { inputs, node, show: (i) => { if (inputs[i]) inputs[i].checked = true; } };
}

export function slider(label, onchange) {
  const id = uid("slider");
  const input = h("input", { id, type: "range", min: 0, step: 1, oninput: () => onchange(Number(input.value)) });
  return { input, node: h("div", { class: "lmw-field lmw-slider" }, h("label", { for: id }, label), input) };
}

export function checkbox(label, onchange) {
  const input = h("input", { type: "checkbox", onchange: () => onchange(input.checked) });
  return { input, node: h("label", { class: "lmw-field lmw-check" }, input, h("span", {}, label)) };
}

export function textbox(label, attributes, onchange) {
  const id = uid("text");
  const input = h("input", { id, type: "text", autocomplete: "off", spellcheck: "false", ...attributes,
    onchange: () => onchange(input.value) });
  return { input, node: h("div", { class: "lmw-field" }, h("label", { for: id }, label), input) };
}

export const button = (text, onclick, attributes = {}) => h("button", { type: "button", onclick, ...attributes }, text);
export const controls = (...nodes) => h("div", { class: "lmw-controls" }, ...nodes);

/** Arrow keys, Home and End inside `node` call move(+1), move(-1), move(-Infinity), move(+Infinity). */
export function arrowKeys(node, move) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  node.addEventListener("keydown", (event) => {
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(steps[event.key]);
  });
}

// ---- the frame --------------------------------------------------------------------------------------------------------

/** The box of a figure: title, one line that invites, a hidden description, the body, and a status line read aloud. */
export function frame(model, el, kind, title, invitation) {
  const titleId = uid("title"), altId = uid("alt");
  const counts = (globalThis.lmwKinds ??= {}), number = (counts[kind] = (counts[kind] ?? 0) + 1); // two landmarks need two names
  const body = h("div", { class: "lmw-body" });
  const status = h("p", { class: "lmw-status", role: "status" });
  const box = h("section", { class: `lmw lmw-${kind}`, "aria-labelledby": titleId, "aria-describedby": altId },
    h("p", { class: "lmw-title", id: titleId }, title, number > 1 ? h("span", { class: "lmw-hidden" }, `, figure ${number} of this kind`) : null),
    h("p", { class: "lmw-try" }, h("strong", {}, "Try this: "), invitation),
    h("p", { class: "lmw-hidden", id: altId }, model.get("alt")),
    body, status);
  el.append(box);
  let last = "";
  return { box, body, say: (sentence) => { if (sentence !== last) status.textContent = last = sentence; } };
}

/** Numbers that matter: { id: [name, text, value] }, each in a box; a test reads the exact value. */
export const facts = (entries) => Object.entries(entries).map(([id, [name, text, value = text]]) =>
  h("p", {}, h("span", {}, name), " ", h("strong", { "data-fact": id, "data-value": value }, text)));

/** Legend: one swatch and one word per role; the swatch has the role's colour and its pattern. */
export const legend = (roles) => h("p", { class: "lmw-legend", "aria-hidden": "true" },
  Object.entries(roles).map(([role, text]) => h("span", {}, h("i", { class: `lmw-swatch lmw-fill-${role}` }), text)));

/** One bar of a chart, `share` of the row's width long; nothing to see at 0. The number stands beside it as text. */
export const bar = (role, share) => h("i", { class: share > 0 ? `lmw-bar lmw-fill-${role}` : "lmw-bar", style: { width: `${100 * clamp(share, 0, 1)}%` } });
