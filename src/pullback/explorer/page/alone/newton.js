// @ts-check
/** Damped Newton steps on one chain of nodes, by block-tridiagonal factorisation. */

import { copy, expand, newExpansion } from "./chains.js";

/** @typedef {import("./table.js").Table} Table */
/** @typedef {import("./chains.js").Chain} Chain */
/** @typedef {import("./chains.js").Expansion} Expansion */
/** @typedef {{x: Float64Array, lower: Float64Array, right: Float64Array}} Solution The solution of a
 *   block-tridiagonal system, the factors of its diagonal blocks, one over the pivots on their
 *   diagonals, and what these make of the blocks beside them. */
/** @typedef {{here: Expansion, there: Expansion, solution: Solution, moved: Chain}} Work Room for the
 *   chain, the one that a step leads to, the step, and the nodes of the latter. */

// Weights of the H1 norm beside the Hessian: the most damping, and none.
const [HIGHEST_DAMPING, LOWEST_DAMPING] = [1e8, 1e-9];
const FREE = 0.1; // with more damping, a small promise may only mean that the step was held back
const MAX_MOVE = 0.5; // no node moves further in one step than this share of the curve's length
const KEPT = 0.01; // share of the promised decrease that a step has to bring
const SINGULAR = 1e-14; // a pivot below this share of its diagonal entry counts as zero

/** Room for Newton's method on chains of up to n segments.
 * @param {number} n
 * @returns {Work} */
export function newWork(n) {
  const solution = {
    x: new Float64Array(2 * n), lower: new Float64Array(4 * n), right: new Float64Array(4 * n),
  };
  return { here: newExpansion(n), there: newExpansion(n), solution, moved: new Float64Array(2 * n + 2) };
}

/** Solve (H + damping P) x = -rhs for m blocks; says whether the matrix is positive definite.
 *
 * P is the H1 inner product of the chain, sum_i |x_i+1 - x_i|^2 in the metric half-way.
 * @param {Expansion} e @param {Float64Array} rhs @param {number} m @param {number} damping
 * @param {Solution} into
 * @returns {boolean} */
export function solve({ diagonal, offDiagonal, matrix }, rhs, m, damping, { x, lower: L, right: W }) {
  const weight = 2 * damping;
  for (let i = 0; i < m; i++) {
    const [at, before] = [4 * i, 4 * i - 4];
    let a00 = diagonal[at] + weight * (matrix[at] + matrix[at + 4]);
    let a10 = diagonal[at + 2] + weight * (matrix[at + 2] + matrix[at + 6]);
    let a11 = diagonal[at + 3] + weight * (matrix[at + 3] + matrix[at + 7]);
    let [x0, x1] = [-rhs[2 * i], -rhs[2 * i + 1]];
    for (let k = 0; i > 0 && k < 2; k++) { // what the block before leaves
      const [w0, w1] = [W[before + 2 * k], W[before + 2 * k + 1]];
      const [s0, s1] = [w0 * L[before + 3 * k], w1 * L[before + 3 * k]];
      x0 -= s0 * x[2 * i - 2 + k];
      x1 -= s1 * x[2 * i - 2 + k];
      a00 -= s0 * w0;
      a10 -= s1 * w0;
      a11 -= s1 * w1;
    }
    if (!(a00 > SINGULAR * Math.abs(diagonal[at]))) return false;
    const share = a10 / a00;
    a11 -= share * a10;
    if (!(a11 > SINGULAR * Math.abs(diagonal[at + 3]))) return false;
    [L[at], L[at + 2], L[at + 3]] = [1 / a00, share, 1 / a11];
    [x[2 * i], x[2 * i + 1]] = [x0, x1 - share * x0];
    if (i === m - 1) continue;
    for (let b = 0; b < 2; b++) {
      W[at + b] = offDiagonal[at + b] - weight * matrix[at + 4 + b];
      W[at + 2 + b] = offDiagonal[at + 2 + b] - weight * matrix[at + 6 + b] - share * W[at + b];
    }
  }
  for (let i = m - 1; i >= 0; i--) {
    const at = 4 * i;
    let [x0, x1] = [x[2 * i], x[2 * i + 1]];
    if (i < m - 1) {
      const [next0, next1] = [x[2 * i + 2], x[2 * i + 3]];
      x1 -= W[at + 2] * next0 + W[at + 3] * next1;
      x0 -= W[at] * next0 + W[at + 1] * next1;
    }
    x1 *= L[at + 3];
    [x[2 * i], x[2 * i + 1]] = [x0 * L[at] - L[at + 2] * x1, x1];
  }
  return true;
}

/** The largest squared length of the moves x of m inner nodes.
 * @param {Expansion} e @param {Float64Array} x @param {number} m
 * @returns {number} */
export function squaredSize({ matrix }, x, m) {
  let largest = 0;
  for (let i = 0; i < m; i++) {
    const [at, u, v] = [4 * i, x[2 * i], x[2 * i + 1]];
    const size = u * u * (matrix[at] + matrix[at + 4])
      + 2 * u * v * (matrix[at + 1] + matrix[at + 5]) + v * v * (matrix[at + 3] + matrix[at + 7]);
    largest = Math.max(largest, 0.5 * size);
  }
  return largest;
}

/** By how much the quadratic model says that a share of the step x lowers S.
 * @param {Expansion} e @param {Float64Array} x @param {number} m @param {number} share
 * @returns {number} */
function decrease({ gradient, diagonal, offDiagonal }, x, m, share) {
  let [slope, bend] = [0, 0];
  for (let i = 0; i < m; i++) {
    for (let a = 0; a < 2; a++) {
      const u = x[2 * i + a];
      slope += gradient[2 * i + a] * u;
      for (let b = 0; b < 2; b++) {
        const at = 4 * i + 2 * a + b;
        bend += u * diagonal[at] * x[2 * i + b];
        if (i < m - 1) bend += 2 * u * offDiagonal[at] * x[2 * i + 2 + b];
      }
    }
  }
  return -share * (slope + 0.5 * share * bend);
}

/** Relax a chain of n segments in place, until the next step promises less than a share `tol` of S.
 * @param {Table} table @param {Chain} chain @param {number} n
 * @param {{tol: number, maxSteps: number, damping: number}} how
 * @param {Work} work @param {Float64Array} f
 * @returns {{steps: number, converged: boolean}} */
export function relax(table, chain, n, { tol, maxSteps, damping }, work, f) {
  let { here, there } = work;
  const { moved, solution } = work;
  const { x } = solution;
  const m = n - 1;
  let value = expand(table, chain, n, f, here);
  for (let steps = 0; Number.isFinite(value) && steps < maxSteps; steps++) {
    while (!solve(here, here.gradient, m, damping, solution)) {
      damping *= 4;
      if (damping > HIGHEST_DAMPING) return { steps, converged: false };
    }
    const [size, longest] = [squaredSize(here, x, m), MAX_MOVE * MAX_MOVE * value * n];
    const isCapped = size > longest;
    const share = isCapped ? Math.sqrt(longest / size) : 1;
    const promised = decrease(here, x, m, share);
    moved.set(chain.subarray(0, 2 * n + 2));
    for (let k = 0; k < 2 * m; k++) moved[k + 2] += share * x[k];
    if (!isCapped && damping <= FREE && Math.abs(promised) <= tol * value) {
      copy(moved, chain, n); // what is left is taken on trust: it changes less than is asked for
      return { steps: steps + 1, converged: true };
    }
    const reached = expand(table, moved, n, f, there);
    const gain = (value - reached) / promised;
    if (promised > 0 && gain > KEPT) { // false also where S is no number or infinite
      copy(moved, chain, n);
      value = reached;
      [here, there] = [there, here];
      // Marquardt's factor, smooth in the gain.
      if (!isCapped) damping *= Math.max(1 / 3, 1 - (2 * Math.min(gain, 1) - 1) ** 3);
      damping = Math.max(damping, LOWEST_DAMPING);
    } else {
      damping *= 8;
      if (damping > HIGHEST_DAMPING) return { steps, converged: false };
    }
  }
  return { steps: maxSteps, converged: false };
}
