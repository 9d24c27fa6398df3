// From logits to the next token: the filters of lmcore/generate/filters.py, held equal by a test in a browser, and the draw.
// Options have the names that they have there: temperature, top_k, top_p, repetition. Logits become double-precision numbers.
import { softmax } from "./engine.mjs";

/** Tokens that may not come get the logit −∞. */
const without = (logits, gone) => logits.map((z, i) => (gone(i) ? -Infinity : z));

/** The numbers of the tokens, the most probable first; of equals the smaller number. */
export const ranked = (scores) => Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
/** The most probable token; of equals the smallest number. */
export const likeliest = (scores) => scores.reduce((best, z, i) => (z > scores[best] ? i : best), 0);

/** Only the k most probable tokens, and those that tie with the last of them. */
export function topK(logits, k) {
  const least = Float64Array.from(logits).sort().at(-Math.min(k, logits.length));
  return without(logits, (i) => logits[i] < least);
}

/** Only the nucleus: the fewest most probable tokens with probability p together. The one that makes p full stays. */
export function topP(logits, p) {
  const shares = softmax(logits), gone = new Set(), ascending = ranked(logits).reverse();
  let total = 0;
  for (const i of ascending.slice(0, -1)) {
    total += shares[i];
    if (total > 1 - p) break;
    gone.add(i);
  }
  return without(logits, (i) => gone.has(i));
}

/** Tokens that are in the text already, made less probable: a positive logit is divided by the penalty, a negative one
    multiplied. */
export function repetitionPenalty(logits, read, penalty) {
  const before = new Set(read);
  return logits.map((z, i) => (before.has(i) ? (z < 0 ? z * penalty : z / penalty) : z));
}

/** The logits that are drawn from: `never` may not come; then repetition penalty (of the tokens `read`), temperature, top-k and
    top-p, in this order, each where it is given. */
export function filtered(logits, { read = [], never = [], temperature = null, top_k = null, top_p = null, repetition = null } = {}) {
  let z = Float64Array.from(logits);
  if (never.length) z = without(z, (i) => never.includes(i));
  if (repetition !== null) z = repetitionPenalty(z, read, repetition);
  if (temperature !== null) z = z.map((score) => score / temperature);
  if (top_k !== null) z = topK(z, top_k);
  if (top_p !== null) z = topP(z, top_p);
  return z;
}

/** A source of random numbers from 0 up to, not including, 1; the same seed gives the same (mulberry32, by Tommy Ettinger;
    lmcore/widgets/page_models.py has its twin). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The token in whose share of the probabilities, laid end to end in the order of the numbers, the random number u falls. */
export function drawn(probabilities, u) {
  let last = 0, total = 0;
  for (let i = 0; i < probabilities.length; i++) {
    if (!(probabilities[i] > 0)) continue;
    total += probabilities[i];
    last = i;
    if (u < total) return i;
  }
  return last; // the sum is 1 but for rounding
}
