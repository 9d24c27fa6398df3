// One recurrent network, forward and back, in float64. No norm can under- or overflow: vectors carry a power of two beside
// them (multiplying by one is exact), and norms leave here as base-10 logarithms.

const LOG2 = Math.log10(2);
// Where 32-bit numbers end: half their smallest positive number is rounded to 0, and above their largest stands infinity.
export const FLOAT32 = { least: -150 * LOG2, most: Math.log10(3.4028234663852886e38) };

/** log10 of the norm of mantissas × 2^exponent; −∞ for a zero vector. */
function logNorm(vector, exponent) {
  let largest = 0, sum = 0;
  for (const v of vector) largest = Math.max(largest, Math.abs(v));
  if (largest === 0) return -Infinity;
  for (const v of vector) sum += (v / largest) ** 2;
  return Math.log10(largest) + Math.log10(sum) / 2 + exponent * LOG2;
}

/** Bring the largest entry to about 1 by a power of two; the exponent that was taken out. */
function rescale(vector) {
  let largest = 0;
  for (const v of vector) largest = Math.max(largest, Math.abs(v));
  if (largest === 0) return 0;
  const taken = Math.floor(Math.log2(largest));
  for (let i = 0; i < vector.length; i++) vector[i] /= 2 ** taken;
  return taken;
}

/** V_x x_n for all steps: weights (H × inputs), series (steps × inputs) → steps × H. */
export function drive(weights, series, inputs) {
  const size = weights.length / inputs, steps = series.length / inputs, out = new Float64Array(steps * size);
  for (let n = 0; n < steps; n++) for (let i = 0; i < size; i++)
    for (let j = 0; j < inputs; j++) out[n * size + i] += weights[i * inputs + j] * series[n * inputs + j];
  return out;
}

/** h_n = σ(V h_{n−1} + strength · driven_n) for n = 1 … length: mantissas, exponents, slopes σ′(z_n), and log10 of every norm. */
export function forward({ matrix, driven, strength, nonlinearity, length, size }) {
  const states = new Float64Array(length * size), slopes = new Float64Array(length * size);
  const exponents = new Int32Array(length), norms = new Float64Array(length);
  let before = new Float64Array(size), exponent = 0;
  for (let n = 0; n < length; n++) {
    const h = states.subarray(n * size, (n + 1) * size), slope = slopes.subarray(n * size, (n + 1) * size);
    for (let i = 0; i < size; i++) {
      let z = strength * driven[n * size + i] * 2 ** -exponent;
      for (let j = 0; j < size; j++) z += matrix[i * size + j] * before[j];
      h[i] = nonlinearity === "tanh" ? Math.tanh(z) : nonlinearity === "relu" ? Math.max(z, 0) : z;
      slope[i] = nonlinearity === "tanh" ? 1 - h[i] ** 2 : nonlinearity === "relu" ? Number(h[i] > 0) : 1;
    }
    // Only growth needs a new scale: a state never shrinks below its inputs for long, and linear and ReLU do not mind the scale.
    if (nonlinearity !== "tanh" && h.some((v) => Math.abs(v) > 2 ** 100)) exponent += rescale(h);
    exponents[n] = exponent;
    norms[n] = logNorm(h, exponent);
    before = h;
  }
  return { states, exponents, slopes, norms };
}

/** log10 ‖∂ℓ/∂h_{N−k}‖ for k = 0 … N, where δ_{n−1} = (δ_n ∘ σ′(z_n)) V and δ_N is the read-out direction. */
export function backward({ matrix, slopes, readout, length, size }) {
  const profile = new Float64Array(length + 1).fill(-Infinity);
  let delta = Float64Array.from(readout), exponent = rescale(delta);
  profile[0] = logNorm(delta, exponent);
  for (let k = 1; k <= length && profile[k - 1] > -Infinity; k++) {
    const next = new Float64Array(size), at = (length - k) * size;
    for (let i = 0; i < size; i++) {
      const part = delta[i] * slopes[at + i];
      if (part !== 0) for (let j = 0; j < size; j++) next[j] += part * matrix[i * size + j];
    }
    exponent += rescale(next);
    delta = next;
    profile[k] = logNorm(delta, exponent);
  }
  return profile;
}

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
export const raised = (integer) => String(integer).replace(/[-\d]/g, (c) => RAISED[c]);

/** 10^log in words of at most three digits: 0.0273, 2.7 · 10⁻⁵; 0 for −∞. */
export function power(log) {
  if (log === -Infinity) return "0";
  if (log > -3.0005 && log < 4) return String(Number((10 ** log).toPrecision(3)));
  let exponent = Math.floor(log), mantissa = (10 ** (log - exponent)).toFixed(1);
  if (mantissa === "10.0") { mantissa = "1.0"; exponent += 1; }
  return `${mantissa} · 10${raised(exponent)}`;
}
