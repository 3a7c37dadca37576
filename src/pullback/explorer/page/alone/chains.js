// @ts-check
/** Chains of nodes on a table: squared chords, their derivatives, and other nodes on a curve.
 *
 * A chain of n segments is an array of 2 (n + 1) numbers, x and y in turn.
 */

import { covers, DV, DZ, M, read, VZ, ZZ } from "./table.js";

/** @typedef {import("./table.js").Table} Table */
/** @typedef {Float64Array} Chain */
/** @typedef {{gradient: Float64Array, diagonal: Float64Array, offDiagonal: Float64Array,
 *   matrix: Float64Array}} Expansion A chain's sum S of squared chords to second order in its inner
 *   nodes: dS/dz_i, d^2 S/dz_i^2, d^2 S/dz_i dz_i+1, and M in the middle of each chord. Matrices are
 *   four numbers, row by row. */

/** Room for chains of up to n segments.
 * @param {number} n
 * @returns {Expansion} */
export function newExpansion(n) {
  return {
    gradient: new Float64Array(2 * n),
    diagonal: new Float64Array(4 * n),
    offDiagonal: new Float64Array(4 * n),
    matrix: new Float64Array(4 * n),
  };
}

/** The squared chord from node i of a to node j of b, M taken half-way; infinite beyond the table.
 * @param {Table} table @param {Chain} a @param {number} i @param {Chain} b @param {number} j
 * @param {number} order see `read` @param {Float64Array} f
 * @returns {number} */
export function chord(table, a, i, b, j, order, f) {
  const [x0, y0, x1, y1] = [a[2 * i], a[2 * i + 1], b[2 * j], b[2 * j + 1]];
  const [x, y] = [0.5 * (x0 + x1), 0.5 * (y0 + y1)];
  return covers(table, x, y) ? read(table, order, x, y, x1 - x0, y1 - y0, f) : Infinity;
}

/** The sum of the chords of a chain, and n times that of their squares.
 * @param {Table} table @param {Chain} chain @param {number} n @param {Float64Array} f
 * @returns {{energy: number, length: number}} `energy` in units of the squared length */
export function measured(table, chain, n, f) {
  let [energy, length] = [0, 0];
  for (let i = 0; i < n; i++) {
    const q = chord(table, chain, i, chain, i + 1, 0, f);
    energy += q;
    length += Math.sqrt(q);
  }
  return { energy: n * energy, length };
}

/** S of a chain, and its derivatives filled in; infinite beyond the table.
 * @param {Table} table @param {Chain} chain @param {number} n @param {Float64Array} f
 * @param {Expansion} into
 * @returns {number} */
export function expand(table, chain, n, f, into) {
  const { gradient, diagonal, offDiagonal, matrix } = into;
  gradient.fill(0, 0, 2 * n);
  diagonal.fill(0, 0, 4 * n);
  let total = 0;
  for (let i = 0; i < n; i++) {
    total += chord(table, chain, i, chain, i + 1, 2, f);
    if (total === Infinity) return total;
    const [left, right] = [i - 1, i]; // the inner nodes at the ends of the chord
    for (let a = 0; a < 2; a++) {
      if (i > 0) gradient[2 * left + a] += 0.5 * f[DZ + a] - f[DV + a];
      if (i < n - 1) gradient[2 * right + a] += 0.5 * f[DZ + a] + f[DV + a];
      for (let b = 0; b < 2; b++) {
        const at = 2 * a + b;
        const [outer, square] = [0.25 * f[ZZ + at], 2 * f[M + at]];
        const [ab, ba] = [f[VZ + at], f[VZ + 2 * b + a]];
        matrix[4 * i + at] = f[M + at];
        if (i > 0) diagonal[4 * left + at] += outer + square - 0.5 * (ab + ba);
        if (i < n - 1) diagonal[4 * right + at] += outer + square + 0.5 * (ab + ba);
        if (i > 0 && i < n - 1) offDiagonal[4 * left + at] = outer - square + 0.5 * (ba - ab);
      }
    }
  }
  return total;
}

/** First and second derivative of a coordinate at an inner node to fourth order, for unit steps.
 * @param {Chain} z @param {number} n @param {number} i @param {0 | 1} a
 * @returns {[number, number]} */
function differences(z, n, i, a) {
  if (i >= 2 && i <= n - 2) {
    const at = 2 * i + a;
    const [near, far] = [z[at + 2] - z[at - 2], z[at + 4] - z[at - 4]];
    const [both, wide] = [z[at + 2] + z[at - 2], z[at + 4] + z[at - 4]];
    return [(8 * near - far) / 12, (16 * both - wide - 30 * z[at]) / 12];
  }
  const [end, s] = i === 1 ? [0, 1] : [n, -1];
  const [z0, z1, z2, z3, z4, z5] = [0, 1, 2, 3, 4, 5].map((k) => z[2 * (end + s * k) + a]);
  return [
    (s * (-3 * z0 - 10 * z1 + 18 * z2 - 6 * z3 + z4)) / 12,
    (10 * z0 - 15 * z1 - 4 * z2 + 14 * z3 - 6 * z4 + z5) / 12,
  ];
}

/** The energy of a chain, and its gradient at the inner nodes to fourth order, in units of S.
 *
 * The gradient of the integral of q(c, c') is q_z - (q_v)'. It takes five segments or more.
 * @param {Table} table @param {Chain} chain @param {number} n @param {Float64Array} f
 * @param {Float64Array} into
 * @returns {number} */
export function force(table, chain, n, f, into) {
  let total = 0;
  for (let i = 1; i < n; i++) {
    const [v, bendX] = differences(chain, n, i, 0);
    const [w, bendY] = differences(chain, n, i, 1);
    total += read(table, 1, chain[2 * i], chain[2 * i + 1], v, w, f);
    for (let a = 0; a < 2; a++) {
      const turn = f[VZ + 2 * a] * v + f[VZ + 2 * a + 1] * w;
      const bend = f[M + 2 * a] * bendX + f[M + 2 * a + 1] * bendY;
      into[2 * (i - 1) + a] = f[DZ + a] - turn - 2 * bend;
    }
  }
  return (total * n) / (n - 1);
}

/** Copy a chain of n segments.
 * @param {Chain} chain @param {Chain} into @param {number} n */
export function copy(chain, into, n) {
  into.set(chain.subarray(0, 2 * (n + 1)));
}

/** Put a node into each of n segments, on the cubic through its neighbours, in place.
 * @param {Chain} chain @param {number} n */
export function double(chain, n) {
  for (let i = n; i > 0; i--) {
    chain[4 * i] = chain[2 * i];
    chain[4 * i + 1] = chain[2 * i + 1];
  }
  const last = 4 * n;
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < 2; a++) {
      const at = 4 * i + a;
      const end = last + a;
      let sum;
      if (i === 0) sum = 5 * chain[a] + 15 * chain[a + 4] - 5 * chain[a + 8] + chain[a + 12];
      else if (i === n - 1) {
        sum = 5 * chain[end] + 15 * chain[end - 4] - 5 * chain[end - 8] + chain[end - 12];
      } else sum = 9 * (chain[at] + chain[at + 4]) - chain[at - 4] - chain[at + 8];
      chain[at + 2] = sum / 16;
    }
  }
}

/** Put n + 1 nodes at equal distances on the line through m + 1 points; returns its length.
 * @param {Table} table @param {Chain} points @param {number} m @param {Chain} chain
 * @param {number} n @param {Float64Array} f
 * @returns {number} */
export function spaceEvenly(table, points, m, chain, n, f) {
  const position = new Float64Array(m + 1);
  for (let i = 0; i < m; i++) {
    position[i + 1] = position[i] + Math.sqrt(chord(table, points, i, points, i + 1, 0, f));
  }
  resample(points, position, m, chain, n);
  return position[m];
}

/** Put n + 1 nodes on the line through m + 1 points, at equal steps of the positions of these.
 * @param {Chain} points @param {Float64Array} position @param {number} m @param {Chain} chain
 * @param {number} n */
export function resample(points, position, m, chain, n) {
  for (let i = 0, k = 0; i <= n; i++) {
    const wanted = (position[m] * i) / n;
    while (k < m - 1 && position[k + 1] < wanted) k++;
    const step = position[k + 1] - position[k];
    const share = step > 0 ? Math.min((wanted - position[k]) / step, 1) : 0;
    for (let a = 0; a < 2; a++) {
      const at = 2 * k + a;
      chain[2 * i + a] = points[at] + share * (points[at + 2] - points[at]);
    }
  }
  for (let a = 0; a < 2; a++) {
    chain[a] = points[a];
    chain[2 * n + a] = points[2 * m + a];
  }
}
