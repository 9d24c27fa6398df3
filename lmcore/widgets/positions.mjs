// Positions as vectors: sinusoidal, rotary, learned, and the dot products of two of them. Computed as lmcore.positions does it.

/** Angles per step, in radians: base^(−2i/dim) for the pairs i. */
export const speeds = (dim, base) => Float64Array.from({ length: dim / 2 }, (_, i) => base ** (-(2 * i) / dim));

/** Row n holds sin(n ω_i) and cos(n ω_i) side by side. */
export function sinusoidal(length, dim, base) {
  const omega = speeds(dim, base), rows = new Float64Array(length * dim);
  for (let n = 0; n < length; n++) for (let i = 0; i < omega.length; i++) {
    rows[n * dim + 2 * i] = Math.sin(n * omega[i]);
    rows[n * dim + 2 * i + 1] = Math.cos(n * omega[i]);
  }
  return rows;
}

/** Row n holds the vector with each pair of neighbouring numbers turned by n ω_i. */
export function turned(vector, length, base) {
  const dim = vector.length, omega = speeds(dim, base), rows = new Float64Array(length * dim);
  for (let n = 0; n < length; n++) for (let i = 0; i < omega.length; i++) {
    const cos = Math.cos(n * omega[i]), sin = Math.sin(n * omega[i]), a = vector[2 * i], b = vector[2 * i + 1];
    rows[n * dim + 2 * i] = a * cos - b * sin;
    rows[n * dim + 2 * i + 1] = a * sin + b * cos;
  }
  return rows;
}

/** The rows that meet in a dot product: those of position m on the left, those of position n on the right. */
export function rowsOf(kind, { length, dim, base, query, key, table }) {
  if (kind === "rotary") return { left: turned(query, length, base), right: turned(key, length, base) };
  const rows = kind === "learned" ? table : sinusoidal(length, dim, base);
  return { left: rows, right: rows };
}

/** All dot products, m by n, in one row after the other. */
export function products({ left, right }, length, dim) {
  const found = new Float64Array(length * length);
  for (let m = 0; m < length; m++) for (let n = 0; n < length; n++) {
    let sum = 0;
    for (let c = 0; c < dim; c++) sum += left[m * dim + c] * right[n * dim + c];
    found[m * length + n] = sum;
  }
  return found;
}

/** By how much products of the same distance differ at most: 0 if the distance alone decides. */
export function spread(found, length) {
  let most = 0;
  for (let k = 1 - length; k < length; k++) {
    let low = Infinity, high = -Infinity;
    for (let m = Math.max(0, -k); m < Math.min(length, length - k); m++) {
      const v = found[m * length + m + k];
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    most = Math.max(most, high - low);
  }
  return most;
}
