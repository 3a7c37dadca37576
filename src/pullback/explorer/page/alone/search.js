// @ts-check
/** One pair of points: from its starts, from coarse to fine, to a curve with a certificate.
 *
 * The algorithm is that of `pullback.geodesics.kernels`, and so are its numbers: both find the same
 * curves.
 */

import { certify, measure } from "./certify.js";
import { chord, copy, double, measured, spaceEvenly } from "./chains.js";
import { bend, BENDS, findDetours } from "./detours.js";
import { createGrid, createPaths, nearestNode, pathBy, shortestPath } from "./grid.js";
import { newWork, relax } from "./newton.js";
import { newForm } from "./table.js";

/** @typedef {import("./table.js").Table} Table */
/** @typedef {import("./chains.js").Chain} Chain */
/** @typedef {{curve: Chain, chain: Chain, n: number, length: number, first: number}} Start A curve of
 *   `STARTED` segments, what it was relaxed to, on n segments, how long that is there, and how long the
 *   curve was at first. */
/** @typedef {import("./certify.js").Certificate & {nodes: Chain, n: number, steps: number,
 *   settled: boolean, straight: number, rival: number | null}} Found `settled` is whether the search
 *   came to its end; where it did not, the certificate says nothing. `straight` and `rival` are the
 *   lengths of the straight line and of the shortest other curve, on few nodes. */
/** @typedef {{table: Table, paths: import("./grid.js").Paths, room: import("./certify.js").Room,
 *   steps: number}} Search */

const STARTED = 64; // segments of the curves that a search starts from
const [COARSEST, FINEST] = [32, 256]; // segments of the chains
const SETTINGS = { steps: 1e-4, seen: 1e-3, excess: 1e-7 }; // relative errors that are allowed
// On the coarse chain a search ends when the next step promises to lower the energy by less than this
// share: the finer chains go on from there.
const ROUGH = { tol: 1e-3, maxSteps: 40, damping: 1e-2 };
const FINE = { tol: SETTINGS.steps, maxSteps: 40, damping: 1e-3 };
const HOPELESS = 1.15; // a start that is longer than another by more hardly ends on the shorter curve
const BESIDE = 0.03; // of its length, within which a start runs beside the shortest, and ends as it does
const ASIDE = 0.1; // of its length, by which a detour leads aside of the path that it is another way to
const TUNNELLED = 1.2; // a curve longer than its chain by more stepped over a wall: more nodes, again
const CLOSE = 1.01; // a rival that is longer by less may still turn out to be the shorter one
const DISTINCT = 0.02; // of the extent, within which two curves are one
const BENT = 0.1; // geodesic curvature, in units of 1 / length, from which more nodes are taken

/** What finds geodesics on a table.
 * @param {Table} table
 * @returns {{find: (a: number[], b: number[]) => Found | null, lengthOf: (chain: Chain) => number}}
 *   `find` gives null where even a straight line leaves the table, or both ends are one point */
export function createSearch(table) {
  const most = 2 * FINEST + 1;
  const form = newForm();
  const [fine, force] = [new Float64Array(2 * most), new Float64Array(2 * FINEST)];
  const room = { work: newWork(FINEST), fine, force, form };
  const paths = createPaths(createGrid(table, form));
  const search = { table, paths, room, steps: 0 };
  return {
    find: (a, b) => solvePair(search, Float64Array.from(a), Float64Array.from(b)),
    lengthOf: (chain) => measure(table, chain, chain.length / 2 - 1, 1, room).length,
  };
}

/** @param {Search} search @param {Chain} a @param {Chain} b @returns {Found | null} */
function solvePair(search, a, b) {
  search.steps = 0;
  const starts = startsOf(search, a, b);
  const straight = starts[0].first;
  const least = smallest(starts.map(({ first }) => first));
  if (!(Number.isFinite(least) && least > 0)) return null;
  const followed = chosen(search, starts);
  for (const start of followed) relaxStart(search, start);
  let best = shortestOf(followed);
  if (!best) return null;
  if (rivalOf(followed, best)) {
    const other = followBends(search, best);
    if (other) followed.push(other);
    best = /** @type {Start} */ (shortestOf(followed));
  }
  const rival = rivalOf(followed, best)?.length ?? null;
  return { ...refineAll(search, followed, best), steps: search.steps, straight, rival };
}

/** The straight line, the shortest path on the grid, and a detour from it where there is one.
 * @param {Search} search @param {Chain} a @param {Chain} b @returns {Start[]} */
function startsOf({ table, paths, room }, a, b) {
  const line = newStart();
  for (let k = 0; k < 2 * STARTED; k++) {
    line.curve[k] = a[k & 1] + ((k >> 1) / STARTED) * (b[k & 1] - a[k & 1]);
  }
  line.curve.set(b, 2 * STARTED);
  const path = newStart();
  const last = nearestNode(paths.grid, b);
  const first = shortestPath(table, paths, a, b, path.curve, STARTED, room.form);
  const starts = [line, path];
  for (const v of findDetours(paths, first, last)) {
    const detour = newStart();
    pathBy(paths, a, b, first, last, v, detour.curve, STARTED);
    const far = ASIDE * measured(table, detour.curve, STARTED, room.form).length;
    if (runsBeside(table, detour.curve, path.curve, STARTED, far, room.form)) continue;
    starts.push(detour);
    break; // one detour is followed: two find hardly more, and take a quarter longer
  }
  for (const start of starts) {
    start.first = spaceEvenly(table, start.curve, STARTED, start.chain, COARSEST, room.form);
  }
  return starts;
}

/** @returns {Start} */
function newStart() {
  const [curve, chain] = [STARTED, 2 * FINEST].map((n) => new Float64Array(2 * n + 2));
  return { curve, chain, n: COARSEST, length: NaN, first: NaN };
}

/** The least number that is one. @param {number[]} values */
const smallest = (values) =>
  values.reduce((least, value) => (value < least || Number.isNaN(least) ? value : least), NaN);

/** @param {Start[]} starts @returns {Start | null} */
function shortestOf(starts) {
  const least = smallest(starts.map(({ length }) => length));
  return Number.isFinite(least) ? (starts.find(({ length }) => length === least) ?? null) : null;
}

/** The starts that are followed: not those that run beside a shorter one, or are without hope.
 * @param {Search} search @param {Start[]} starts @returns {Start[]} */
function chosen({ table, room }, starts) {
  const least = smallest(starts.map(({ first }) => first));
  const inOrder = [...starts].sort((s, t) => s.first - t.first || 0);
  /** @type {Start[]} */
  const followed = [];
  for (const start of inOrder.filter(({ first }) => first <= HOPELESS * least)) {
    const isBeside = followed.some(({ chain }) =>
      runsBeside(table, start.chain, chain, COARSEST, BESIDE * least, room.form));
    if (!isBeside) followed.push(start);
  }
  return starts.filter((start) => followed.includes(start));
}

/** Whether a curve of n segments runs within a distance beside another.
 * @param {Table} table @param {Chain} chain @param {Chain} other @param {number} n
 * @param {number} limit @param {Float64Array} f */
function runsBeside(table, chain, other, n, limit, f) {
  for (let i = 2; i < n; i += 2) {
    if (chord(table, chain, i, other, i, 0, f) > limit * limit) return false;
  }
  return true;
}

/** Relax a start, on more nodes where it tunnels. @param {Search} search @param {Start} start */
function relaxStart(search, start) {
  const { table, room } = search;
  for (;;) {
    search.steps += relax(table, start.chain, start.n, ROUGH, room.work, room.form).steps;
    const coarse = measured(table, start.chain, start.n, room.form).length;
    copy(start.chain, room.fine, start.n);
    double(room.fine, start.n);
    double(room.fine, 2 * start.n);
    start.length = measured(table, room.fine, 4 * start.n, room.form).length;
    if (start.length <= TUNNELLED * coarse || 2 * start.n >= FINEST) return;
    start.n *= 2;
    spaceEvenly(table, start.curve, STARTED, start.chain, start.n, room.form);
  }
}

/** Relax bends of the best curve: the shortest that lies apart from it, if there is one.
 * @param {Search} search @param {Start} best @returns {Start | null} */
function followBends(search, best) {
  const { table, room } = search;
  /** @type {Start | null} */
  let shortest = null;
  for (const height of BENDS) {
    const start = newStart();
    bend(best.chain, best.n, height, start.curve, STARTED);
    start.first = spaceEvenly(table, start.curve, STARTED, start.chain, COARSEST, room.form);
    if (!Number.isFinite(start.first)) continue;
    relaxStart(search, start);
    if (shortest && !(start.length < shortest.length)) continue;
    if (areApart(start, best)) shortest = start;
  }
  return shortest;
}

/** The shortest other curve that a start led to.
 * @param {Start[]} starts @param {Start} best @returns {Start | null} */
function rivalOf(starts, best) {
  const others = starts.filter((start) =>
    start !== best && Number.isFinite(start.length) && areApart(start, best));
  return shortestOf(others);
}

/** Whether two curves run apart, by more than a share of the extent of the other.
 * @param {Start} one @param {Start} other */
function areApart({ chain, n }, { chain: other, n: m }) {
  const fewest = Math.min(n, m);
  let [gap, extent] = [0, 0];
  for (let a = 0; a < 2; a++) {
    let [low, high] = [other[a], other[a]];
    for (let i = 0; i <= m; i++) {
      low = Math.min(low, other[2 * i + a]);
      high = Math.max(high, other[2 * i + a]);
    }
    extent += (high - low) ** 2;
  }
  for (let i = 0; i <= fewest; i++) {
    const [k, j] = [(2 * i * n) / fewest, (2 * i * m) / fewest];
    gap = Math.max(gap, (chain[k] - other[j]) ** 2 + (chain[k + 1] - other[j + 1]) ** 2);
  }
  return gap > DISTINCT ** 2 * extent;
}

/** Refine the best curve, and others that may turn out to be the shorter ones.
 * @param {Search} search @param {Start[]} starts @param {Start} best */
function refineAll(search, starts, best) {
  const rough = best.length;
  let [found, winner] = [refine(search, best), best];
  let left = starts.filter((start) => start !== best);
  for (let k = 1; k < starts.length; k++) {
    const rival = rivalOf(left, winner);
    if (!rival) break;
    const limit = Math.max(CLOSE * rough, found.length);
    if (found.settled && !(rival.length <= limit)) break;
    const other = refine(search, rival);
    left = left.filter((start) => start !== rival);
    if (other.settled && (!found.settled || other.length < found.length)) {
      [found, winner] = [other, rival];
    }
  }
  return found;
}

const NOTHING = { length: NaN, mismatch: NaN, change: NaN, excess: NaN, residual: NaN, minimal: false };

/** Double the nodes of a chain until its length settles, and certify it.
 * @param {Search} search @param {Start} start */
function refine(search, start) {
  const { table, room } = search;
  for (;;) {
    if (start.n < FINEST) {
      double(start.chain, start.n);
      start.n *= 2;
    }
    const { chain, n } = start;
    const { steps, converged } = relax(table, chain, n, FINE, room.work, room.form);
    search.steps += steps;
    const isFinest = n >= FINEST;
    const { change } = measure(table, chain, n, SETTINGS.steps, room);
    if (!isFinest && !(converged && change < SETTINGS.seen)) continue;
    const told = converged ? certify(table, chain, n, SETTINGS, room) : NOTHING;
    const isSettled = told.mismatch <= SETTINGS.steps && told.residual <= BENT;
    if (converged && !isFinest && !isSettled) continue;
    return { ...told, nodes: chain.slice(0, 2 * n + 2), n, settled: converged };
  }
}
