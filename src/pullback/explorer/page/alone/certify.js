// @ts-check
/** What can be said for a chain on a table: how long it is, and how near it is to a geodesic. */

import { copy, double, expand, force, measured } from "./chains.js";
import { solve, squaredSize } from "./newton.js";

/** @typedef {import("./table.js").Table} Table */
/** @typedef {import("./chains.js").Chain} Chain */
/** @typedef {{work: import("./newton.js").Work, fine: Chain, force: Float64Array,
 *   form: Float64Array}} Room `fine` is for a chain with more nodes, or the one before a correction. */
/** @typedef {{length: number, mismatch: number, change: number}} Length `mismatch` is the estimated
 *   relative error for few nodes, `change` by how much twice the nodes change the sum of chords. */
/** @typedef {Length & {excess: number, residual: number, minimal: boolean}} Certificate `excess` is
 *   the estimated share of the energy above a geodesic, `residual` the geodesic curvature in units of
 *   1 / length, `minimal` whether every small change makes the curve longer. */

const CONJUGATE = 0.02; // second variations below this share of the H1 norm count as vanishing
const CAUTION = 1e-3; // damping of the corrections, in the H1 norm
const CORRECTIONS = 4; // at most, of a chain to fourth order; nearly all take two
const LARGEST = 0.1; // of the curve's length: a larger correction is no small one
const MISMATCH = 8; // a chain's length errs by more than the curve through it, measured with more points
const [SWINGING, UNEVEN] = [0.004, 2.5]; // variation of the speed, and its square in units of `rtol`

/** The length of the curve through a chain, and by how much fewer nodes change it.
 * @param {Table} table @param {Chain} chain @param {number} n @param {number} rtol @param {Room} room
 * @returns {Length} */
export function measure(table, chain, n, rtol, { fine, form: f }) {
  const narrow = measured(table, chain, n, f).length;
  for (let i = 0; i <= n / 2; i++) {
    fine[2 * i] = chain[4 * i];
    fine[2 * i + 1] = chain[4 * i + 1];
  }
  const wide = measured(table, fine, n / 2, f).length;
  copy(chain, fine, n);
  double(fine, n);
  const { energy, length: finer } = measured(table, fine, 2 * n, f);
  const [length, extrapolated] = [(4 * finer - narrow) / 3, (4 * narrow - wide) / 3];
  let mismatch = Math.abs(extrapolated - length) / length;
  // Else it is the curve that is off, for it swings between its nodes.
  const uneven = energy / (finer * finer) - 1;
  if (uneven < Math.max(SWINGING ** 2, UNEVEN * rtol) || length < extrapolated) mismatch /= MISMATCH;
  return { length, mismatch, change: Math.abs(finer - narrow) / length };
}

/** Correct a chain to fourth order, and say what it is worth.
 * @param {Table} table @param {Chain} chain @param {number} n
 * @param {{steps: number, excess: number}} asked what steps and corrections may leave of the energy
 * @param {Room} room
 * @returns {Certificate} */
export function certify(table, chain, n, asked, room) {
  const { work: { here: e, solution }, form: f, force: g } = room;
  const m = n - 1;
  expand(table, chain, n, f, e);
  let energy = force(table, chain, n, f, g);
  const minimal = solve(e, g, m, -CONJUGATE, solution);
  let [excess, residual] = [Infinity, residualOf(chain, n, e, g, energy)];
  if (minimal && solve(e, g, m, CAUTION, solution)) {
    excess = excessOf(g, solution.x, m, energy);
    for (let turn = 0; turn < CORRECTIONS; turn++) {
      const isSmall = squaredSize(e, solution.x, m) <= LARGEST ** 2 * energy * n;
      if (excess <= asked.excess || !isSmall) break;
      copy(chain, room.fine, n);
      for (let k = 0; k < 2 * m; k++) chain[k + 2] += solution.x[k];
      const energyNow = force(table, chain, n, f, g);
      const residualNow = residualOf(chain, n, e, g, energyNow);
      if (!(residualNow <= residual)) { // it did not help: take it back
        copy(room.fine, chain, n);
        break;
      }
      solve(e, g, m, CAUTION, solution);
      [energy, residual] = [energyNow, residualNow];
      excess = excessOf(g, solution.x, m, energy);
    }
  }
  return { ...measure(table, chain, n, asked.steps, room), excess, residual, minimal };
}

/** The share of the energy that a correction x gains.
 * @param {Float64Array} g @param {Float64Array} x @param {number} m @param {number} energy */
function excessOf(g, x, m, energy) {
  let total = 0;
  for (let k = 0; k < 2 * m; k++) total += g[k] * x[k];
  return Math.abs(total) / (2 * energy);
}

/** The largest geodesic curvature in units of one over the length.
 *
 * It is that part of the force g which is normal to the curve; along it only the speed changes.
 * @param {Chain} chain @param {number} n @param {import("./chains.js").Expansion} e
 * @param {Float64Array} g @param {number} energy */
function residualOf(chain, n, { matrix }, g, energy) {
  let largest = 0;
  for (let i = 1; i < n; i++) {
    const at = 4 * i - 4;
    const m00 = 0.5 * (matrix[at] + matrix[at + 4]);
    const m10 = 0.5 * (matrix[at + 2] + matrix[at + 6]);
    const m11 = 0.5 * (matrix[at + 3] + matrix[at + 7]);
    const [g0, g1] = [g[2 * i - 2], g[2 * i - 1]];
    const [v, w] = [chain[2 * i + 2] - chain[2 * i - 2], chain[2 * i + 3] - chain[2 * i - 1]];
    const rest = g1 - (m10 / m00) * g0;
    const along = g0 * v + g1 * w;
    const speed = m00 * v * v + 2 * m10 * v * w + m11 * w * w;
    let normal = (g0 * g0) / m00 + (rest * rest) / (m11 - (m10 * m10) / m00); // g' M^-1 g
    if (speed > 0) normal -= (along * along) / speed;
    largest = Math.max(largest, normal);
  }
  return 0.5 * n ** 1.5 * Math.sqrt(largest / energy);
}
