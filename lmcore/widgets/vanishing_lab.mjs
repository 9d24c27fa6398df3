// Vanishing-gradient lab: runs the network the reader sets, forward and back, and draws how the gradient changes with distance.
import { array, button, clamp, controls, facts, follow, frame, h, radios, slider, svg, write } from "./draw.mjs";
import { axes, draggable, lineLegend, plane, through, ticks } from "./plot.mjs";
import { spectrumView } from "./spectrum.mjs";
import { FLOAT32, backward, drive, forward, power, raised } from "./vanishing.mjs";

const NONLINEARITIES = ["linear", "tanh", "relu"], NAMES = ["linear", "tanh", "ReLU"];
const EXPERIMENTS = {
  Vanish: { initialisation: "Gaussian", nonlinearity: "linear", radius: 0.8, strength: 0.3 },
  Hold: { initialisation: "orthogonal", nonlinearity: "linear", radius: 1, strength: 0.3 },
  Explode: { initialisation: "Gaussian", nonlinearity: "linear", radius: 1.2, strength: 0.3 },
  "Rise, then vanish": { initialisation: "non-normal", nonlinearity: "linear", radius: 0.85, strength: 0.3 },
  Saturate: { initialisation: "orthogonal", nonlinearity: "tanh", radius: 1.2, strength: 0.8 },
};
const f64 = (view) => array(Float64Array, view);

/** The numbers of the figure: the matrices of spectral radius 1 with what is known of them, and what the network reads. */
function unpackLab(model) {
  const size = model.get("size"), inputs = model.get("inputs"), longest = model.get("longest"), draws = model.get("draws");
  const names = ["matrices", "eigenvalues", "singular", "powers", "input_weights", "series", "readouts"];
  const all = Object.fromEntries(names.map((name) => [name, f64(model.get(name))]));
  const part = (name, index, length) => all[name].subarray(index * length, (index + 1) * length);
  return { size, longest, draws, kinds: model.get("initialisations"),
    network(kind, draw) {
      const i = kind * draws + draw;
      return { base: part("matrices", i, size * size), eigenvalues: part("eigenvalues", i, 2 * size), singular: part("singular", i, size),
        powers: part("powers", i, longest + 1), readout: part("readouts", draw, size),
        driven: drive(part("input_weights", draw, size * inputs), part("series", draw, longest * inputs), inputs) };
    } };
}

/** Everything the figure says at one setting; norms are base-10 logarithms, one per distance k = 0 … N. */
function experiment(network, { radius, nonlinearity, length, strength, size }) {
  const matrix = network.base.map((v) => v * radius), singular = network.singular.map((v) => v * radius);
  const { slopes, norms, states, exponents } = forward({ matrix, driven: network.driven, strength, nonlinearity, length, size });
  const profile = backward({ matrix, slopes, readout: network.readout, length, size });
  const k = Float64Array.from({ length: length + 1 }, (_, i) => i);
  return { profile, states, exponents, norms, singular, values: network.eigenvalues.map((v) => v * radius),
    rho: k.map((i) => i * Math.log10(radius)), bound: k.map((i) => i * Math.log10(singular[0])),
    powers: nonlinearity === "linear" ? k.map((i) => i * Math.log10(radius) + network.powers[i]) : null,
    slope: slopes.reduce((a, b) => a + b, 0) / slopes.length };
}

/** Limits of the vertical axis: round, so that it stands still while the curve moves a little. Theory may leave the plane, the measured curve may not. */
function limits(found, kept) {
  const seen = [...found.profile, ...(kept ?? [])].filter(Number.isFinite), low = Math.min(...seen), high = Math.max(...seen);
  const room = Math.max(2, (high - low) / 2), theory = [found.rho.at(-1), ...(found.powers ?? [])];
  const outward = (v) => [1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 1000, 2000, 5000].find((step) => step >= v - 1e-9) ?? v;
  const bottom = Math.min(low, Math.max(Math.min(...theory), low - room)), top = Math.max(high, Math.min(Math.max(...theory), high + room));
  return [-outward(-Math.min(bottom, -1)), outward(Math.max(top, 1))];
}

function profileView({ setDistance }) {
  let last = null;
  const chart = plane((width) => (width < 420 ? 300 : 400), { tabindex: 0, role: "slider", "aria-label": "Distance that is read out", "aria-valuemin": 0 }, () => last && show(last));
  const back = svg("g"), curves = svg("svg", { overflow: "hidden" }), marks = svg("g");
  const pad = svg("rect", { class: "lmw-pad" });
  chart.node.append(back, pad, curves, marks);
  let toDistance = () => 0;
  draggable(chart.node, pad, ([x]) => setDistance(toDistance(x)));
  const jumps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
  chart.node.addEventListener("keydown", (event) => {
    if (!(event.key in jumps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    setDistance(last.distance + jumps[event.key]);
  });

  function show(data) {
    last = data;
    const { found, kept, length, distance } = data, { width, height } = chart.size;
    const box = { left: 50, right: width - 10, top: 10, bottom: height - 42 }, [low, high] = limits(found, kept);
    const x = (k) => box.left + ((box.right - box.left) * k) / length, y = (log) => box.bottom - ((box.bottom - box.top) * (log - low)) / (high - low);
    toDistance = (px) => Math.round(((px - box.left) / (box.right - box.left)) * length);
    const line = (logs) => through(Array.from(logs, (v, k) => (v === -Infinity ? null : [x(k), y(v)])));
    const place = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
    for (const part of [curves, pad]) for (const [key, v] of Object.entries(place)) part.setAttribute(key, v); // an inner svg cuts off what leaves it
    curves.setAttribute("viewBox", Object.values(place).join(" "));
    const beyond = [[FLOAT32.least, box.bottom, "32-bit numbers end: 0 from here down", 14], [FLOAT32.most, box.top, "32-bit numbers end: ∞ from here up", -6]]
      .filter(([log]) => log > low && log < high)
      .flatMap(([log, end, text, dy]) => [svg("rect", { class: "lmw-beyond", x: box.left, width: box.right - box.left, y: Math.min(y(log), end), height: Math.abs(end - y(log)) }),
        svg("text", { class: "lmw-axis-title", x: box.left + 6, y: y(log) + dy }, text)]);
    const yTicks = ticks(low, high, height < 350 ? 6 : 8).filter(Number.isInteger);
    back.replaceChildren(...beyond, axes({ box, x, y, xTicks: ticks(0, length, width < 420 ? 4 : 6).filter(Number.isInteger), yTicks,
      yText: (v) => (v === 0 ? "1" : v === 1 ? "10" : `10${raised(v)}`), xTitle: "distance k, in steps back from the loss" }));
    const zero = found.profile.indexOf(-Infinity), curve = (kind, logs) => logs && svg("path", { class: `lmw-curve lmw-curve-${kind}`, d: line(logs), "data-logs": Array.from(logs).join() });
    curves.replaceChildren(...[curve("kept", kept), curve("measured", found.profile), curve("power", found.powers), curve("bound", found.bound), curve("rho", found.rho)].filter(Boolean));
    marks.replaceChildren(svg("path", { class: "lmw-probe", d: `M${x(distance)},${box.top}V${box.bottom}` }));
    if (zero > 0) marks.append(svg("path", { class: "lmw-curve lmw-curve-gone", d: `M${x(zero - 1)},${y(found.profile[zero - 1])}L${x(zero)},${box.bottom}` }),
      svg("text", { class: "lmw-important", x: Math.min(x(zero) + 6, box.right - 8), y: box.bottom - 8, "text-anchor": x(zero) > box.right - 90 ? "end" : "start" }, "exactly 0"));
    for (const [kind, logs] of [["rho", found.rho], ["measured", found.profile]]) {
      const v = logs[distance];
      if (v >= low && v <= high) marks.append(svg("circle", { class: `lmw-dot lmw-dot-${kind}`, cx: x(distance), cy: y(v), r: kind === "measured" ? 6 : 4.5 }));
    }
    for (const [name, v] of Object.entries({ "aria-valuemax": length, "aria-valuenow": distance, "aria-valuetext": `${distance} steps back: gradient ${power(found.profile[distance])}` })) chart.node.setAttribute(name, v);
  }
  return { node: chart.node, show, close: chart.close };
}

const numbered = (text) => {
  const value = h("span", { class: "lmw-set", "aria-hidden": "true" }), made = (onchange) => {
    const it = slider(text, onchange);
    it.node.querySelector("label").append(" ", value);
    return it;
  };
  return [made, value];
};

function render({ model, el }) {
  const lab = unpackLab(model), { size } = lab;
  const { body, say } = frame(model, el, "vanishing", "Vanishing-gradient lab",
    "drag the ring through the unit circle and watch the gradient vanish, hold and explode. Then change the start or the non-linearity: when does the radius still tell the truth?");
  const [low, high] = model.get("radii");
  const setRadius = (radius) => write(model, { radius: Number(clamp(radius, low, high).toFixed(2)) });
  const setDistance = (k) => write(model, { distance: clamp(k, 0, model.get("length")) });

  const kinds = radios("Start: initial V", lab.kinds, (i) => write(model, { initialisation: lab.kinds[i] }));
  kinds.node.querySelector("legend").append(h("sub", {}, "h"));
  const nonlinear = radios("Non-linearity σ", NAMES, (i) => write(model, { nonlinearity: NONLINEARITIES[i] }));
  const [makeRadius, radiusText] = numbered("Spectral radius ρ"), [makeLength, lengthText] = numbered("Length N"), [makeStrength, strengthText] = numbered("Input strength");
  const radiusSlider = makeRadius(setRadius), strengthSlider = makeStrength((v) => write(model, { strength: v }));
  const lengthSlider = makeLength((v) => write(model, { length: v, distance: Math.min(model.get("distance"), v) }));
  Object.assign(radiusSlider.input, { min: low, max: high, step: 0.01 });
  Object.assign(lengthSlider.input, { min: 2, max: lab.longest });
  Object.assign(strengthSlider.input, { min: 0, max: 1, step: 0.05 });
  const again = button("Draw again", () => write(model, { draw: (model.get("draw") + 1) % lab.draws }), { title: "The same kind of network with other random numbers" });
  let kept = null;
  const keep = button("Keep this curve", () => { kept = kept ? null : { logs: now.found.profile, name: now.name }; redraw(); });
  const tries = h("div", { class: "lmw-controls", role: "group", "aria-label": "Experiments" },
    Object.entries(EXPERIMENTS).map(([name, setting]) => button(name, () => write(model, { ...setting, radius: clamp(setting.radius, low, high) }))));

  const view = profileView({ setDistance }), spectrum = spectrumView({ radii: [low, high], setRadius });
  const keys = h("div"), numbers = h("div", { class: "lmw-facts lmw-lab-facts" });
  body.append(tries, kinds.node, controls(nonlinear.node, again, keep), controls(radiusSlider.node, lengthSlider.node, strengthSlider.node),
    h("div", { class: "lmw-columns lmw-lab-columns" },
      h("div", {}, h("p", { class: "lmw-caption" }, "Gradient of the loss at step N with respect to the state k steps before: its norm"), view.node, keys), spectrum.node), numbers);

  let now = null;
  function redraw() {
    const length = clamp(model.get("length"), 2, lab.longest), distance = clamp(model.get("distance"), 0, length);
    const kind = Math.max(0, lab.kinds.indexOf(model.get("initialisation"))), draw = clamp(model.get("draw"), 0, lab.draws - 1);
    const nonlinearity = model.get("nonlinearity"), radius = clamp(model.get("radius"), low, high), strength = clamp(model.get("strength"), 0, 1);
    const found = experiment(lab.network(kind, draw), { radius, nonlinearity, length, strength, size });
    const sigma = NAMES[NONLINEARITIES.indexOf(nonlinearity)], shown = radius.toFixed(2);
    now = { found, name: `${lab.kinds[kind]}, ${sigma}, ρ = ${shown}` };
    kinds.show(kind);
    nonlinear.show(NONLINEARITIES.indexOf(nonlinearity));
    for (const [it, value, text, label] of [[radiusSlider, radius, shown, radiusText], [lengthSlider, length, `${length} steps`, lengthText], [strengthSlider, strength, strength.toFixed(2), strengthText]]) {
      it.input.value = value;
      it.input.setAttribute("aria-valuetext", text);
      label.textContent = text;
    }
    again.textContent = `Draw again (${draw + 1} of ${lab.draws})`;
    keep.textContent = kept ? "Drop the kept curve" : "Keep this curve";
    view.show({ found, kept: kept?.logs.slice(0, length + 1), length, distance });
    const outside = spectrum.show({ values: found.values, singular: found.singular, radius });
    const norm = found.singular[0];
    keys.replaceChildren(lineLegend({ measured: "measured", rho: `ρᵏ = ${shown}ᵏ`, bound: `bound ${norm.toFixed(2)}ᵏ`, power: found.powers ? "most in any direction" : "", kept: kept ? `kept: ${kept.name}` : "" }));
    const { profile } = found, zero = profile.indexOf(-Infinity), last = zero < 0 ? length : zero - 1;
    const factor = last ? 10 ** ((profile[last] - profile[0]) / last) : 0;
    numbers.replaceChildren(...facts({
      measured: [`Gradient ${distance} steps back`, power(profile[distance]), profile[distance]],
      rho: ["ρᵏ says", power(found.rho[distance]), found.rho[distance]],
      bound: [found.powers ? "At most, in any direction" : "At most, by the bound", power((found.powers ?? found.bound)[distance]), (found.powers ?? found.bound)[distance]],
      factor: ["Measured factor a step", factor.toFixed(3), factor],
      slope: ["Mean slope σ′", found.slope.toFixed(3), found.slope],
    }));
    say(sentence({ found, name: now.name, length, zero, last, factor, outside, nonlinearity }));
  }
  const done = follow(model, ["radius", "nonlinearity", "length", "initialisation", "strength", "draw", "distance"], redraw);
  return () => { done(); view.close(); spectrum.close(); };
}

/** What happened, in words: how the gradient changed, and where numbers of 32 or 64 bits would have ended. */
function sentence({ found, name, length, zero, last, factor, outside, nonlinearity }) {
  const { profile, norms } = found, peak = profile.indexOf(Math.max(...profile)), out = [];
  const end = profile[last], rose = profile[peak] > 0.2 && profile[peak] > end + 0.3 && peak > 0;
  const verb = factor < 0.995 ? "shrinks" : factor > 1.005 ? "grows" : "keeps its size";
  out.push(`${name[0].toUpperCase()}${name.slice(1)}: ${outside ? outside : "no"} eigenvalue${outside === 1 ? "" : "s"} outside the unit circle. `
    + (rose ? `The gradient first rises to ${power(profile[peak])}, ${peak} steps back, and is ${power(end)} after ${last}.`
      : `Over ${last} steps back the gradient ${verb}, from 1 to ${power(end)}: a factor of ${factor.toFixed(3)} a step.`));
  if (zero >= 0) out.push(nonlinearity === "tanh" ? `From ${zero} steps on it is exactly 0: the units are saturated to the last digit.`
    : `From ${zero} steps on it is exactly 0: no path back leads through units that are on.`);
  const vanished = profile.findIndex((v) => v < FLOAT32.least), burst = profile.findIndex((v) => v > FLOAT32.most), state = norms.findIndex((v) => v > FLOAT32.most);
  if (vanished >= 0 && (zero < 0 || vanished < zero)) out.push(`In 32-bit numbers it would be 0 from ${vanished} steps on.`);
  if (burst >= 0) out.push(`In 32-bit numbers it would overflow from ${burst} steps on.`);
  if (state >= 0) out.push(`The state itself outgrows 32-bit numbers at step ${state + 1} of ${length}.`);
  if (nonlinearity === "tanh" && profile[peak] > 13) out.push("A change in the 16th digit of an early state would reach the loss: rounding decides what these states are.");
  return out.join(" ");
}

export default { render };
