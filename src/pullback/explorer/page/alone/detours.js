// @ts-check
/** Other starts for a pair of points: ways on a coarse grid beside the shortest, and bends. */

/** @typedef {import("./chains.js").Chain} Chain */
/** @typedef {import("./grid.js").Paths} Paths */
/** @typedef {{total: Float64Array, share: Float64Array, label: Int32Array, limit: number,
 *   height: number}} Ways The way by each node: how long, what share of it lies before the node, and
 *   the node's place in a section or -1; how long ways may be, and how deep a valley has to be. */

/** Heights of the arches by which the best curve is bent, as shares of its chord: to both sides. */
export const BENDS = [0.15, -0.15, 0.3, -0.3];

// Share of the best path by which a detour may be longer: paths on the grid are too long by up to 5 %.
const LONGER = 0.08;
// Share of the best path by which ways between two detours are longer than the longer of these: with
// much less, rounding makes detours.
const PASS = 0.005;
const SECTIONS = [0.25, 0.5, 0.75]; // shares of a way at which ways are told apart
const STRETCH = 0.2; // of a way, that no edge of the grid takes but for very near points
const MOST = 6; // ways that are drawn for a pair, of which most run beside others

/** The nodes that detours from one node to another lead by, the shortest first.
 *
 * Where a share of the way has been gone, the shortest ways by all nodes there have valleys, one for
 * each way round what parts them: those between which one has to go over a pass are as many ways.
 * @param {Paths} paths @param {number} first @param {number} last
 * @returns {number[]} */
export function findDetours({ grid, row }, first, last) {
  const [{ distance: to }, { distance: on }] = [row(first), row(last)];
  const n = to.length;
  const best = to[last];
  if (!(best > 0 && Number.isFinite(best))) return [];
  const ways = {
    total: new Float64Array(n),
    share: new Float64Array(n),
    label: new Int32Array(n).fill(-1),
    limit: (1 + LONGER) * best,
    height: PASS * best,
  };
  const near = [];
  for (let v = 0; v < n; v++) {
    ways.total[v] = to[v] + on[v];
    ways.share[v] = to[v] / ways.total[v];
    if (ways.total[v] <= ways.limit) near.push(v);
  }
  /** @type {number[]} */
  const found = [];
  for (const share of SECTIONS) {
    const nodes = section(grid.size, ways, near, share);
    for (const v of valleys(grid.size, ways, nodes)) note(found, v, ways.total);
    for (const v of nodes) ways.label[v] = -1;
  }
  return found;
}

/** The last nodes before a share of the way, sorted by length.
 * @param {number} size @param {Ways} ways @param {number[]} near @param {number} part */
function section(size, { total, share }, near, part) {
  const isLast = (/** @type {number} */ v) => {
    const [i, j] = [Math.floor(v / size), v % size];
    return (i > 0 && share[v - size] > part) || (i < size - 1 && share[v + size] > part)
      || (j > 0 && share[v - 1] > part) || (j < size - 1 && share[v + 1] > part);
  };
  const nodes = near.filter((v) => part - STRETCH < share[v] && share[v] <= part && isLast(v));
  return nodes.sort((u, v) => total[u] - total[v]);
}

/** Flood a section from its lowest node on: the lowest nodes of the valleys that are deep enough.
 * @param {number} size @param {Ways} ways @param {number[]} nodes */
function valleys(size, { total, label, limit, height }, nodes) {
  /** @type {number[]} */
  const valley = [];
  const oldest = (/** @type {number} */ k) => {
    while (valley[k] !== k) k = valley[k];
    return k;
  };
  const found = [];
  for (let k = 0; k < nodes.length; k++) {
    const v = nodes[k];
    label[v] = valley[k] = k;
    for (const w of neighbours(size, v)) {
      if (label[w] < 0) continue;
      const [mine, other] = [oldest(k), oldest(label[w])];
      if (mine === other) continue;
      const young = Math.max(mine, other);
      if (total[v] - total[nodes[young]] >= height) found.push(nodes[young]);
      valley[young] = Math.min(mine, other);
    }
  }
  for (let k = 0; k < nodes.length; k++) { // those that never met, and the lowest
    if (valley[k] === k && (k === 0 || limit - total[nodes[k]] >= height)) found.push(nodes[k]);
  }
  return found;
}

/** @param {number} size @param {number} v */
function* neighbours(size, v) {
  const [i, j] = [Math.floor(v / size), v % size];
  for (let b = Math.max(j - 1, 0); b <= Math.min(j + 1, size - 1); b++) {
    for (let a = Math.max(i - 1, 0); a <= Math.min(i + 1, size - 1); a++) yield a * size + b;
  }
}

/** Put a node among those found, in the order of length. @param {number[]} found @param {number} v
 * @param {Float64Array} total */
function note(found, v, total) {
  let at = found.length;
  while (at > 0 && total[found[at - 1]] > total[v]) at--;
  found.splice(at, 0, v);
  found.length = Math.min(found.length, MOST);
}

/** Fill in a chain of n segments with a sine arch added, at right angles to its chord.
 * @param {Chain} chain @param {number} n @param {number} height @param {Chain} curve @param {number} m */
export function bend(chain, n, height, curve, m) {
  const [dx, dy] = [chain[2 * n] - chain[0], chain[2 * n + 1] - chain[1]];
  for (let i = 0; i <= m; i++) {
    const k = Math.min(Math.floor((i * n) / m), n - 1);
    const share = (i * n) / m - k;
    const arch = height * Math.sin((Math.PI * i) / m);
    curve[2 * i] = chain[2 * k] + share * (chain[2 * k + 2] - chain[2 * k]) - arch * dy;
    curve[2 * i + 1] = chain[2 * k + 1] + share * (chain[2 * k + 3] - chain[2 * k + 1]) + arch * dx;
  }
  for (let a = 0; a < 2; a++) {
    curve[a] = chain[a];
    curve[2 * m + a] = chain[2 * n + a];
  }
}
