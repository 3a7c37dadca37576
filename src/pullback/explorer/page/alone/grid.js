// @ts-check
/** Starts for any pair of points: shortest paths on a coarse grid over the table. */

import { chord, copy, resample } from "./chains.js";
import { createHeap } from "./heap.js";

/** @typedef {import("./table.js").Table} Table */
/** @typedef {import("./chains.js").Chain} Chain */
/** @typedef {{low: number[], step: number[], size: number, offset: number[][], jump: number[],
 *   length: Float64Array}} Grid A grid of size x size nodes, numbered column by column, with edges to
 *   near nodes: the steps that they take along the axes, what they add to a number, and for each node
 *   the lengths of its edges, infinite where there is no node. */
/** @typedef {{distance: Float32Array, previous: Int16Array}} Row Shortest paths from one node: how
 *   long, and the node before. */
/** @typedef {{grid: Grid, row: (source: number) => Row}} Paths */

/** Nodes along each axis. All paths of a grid of 48 x 48 would take 32 MB; few are asked for. */
const SIZE = 48;
/** Steps along an axis that an edge takes at most: paths are too long by up to 1.3 % so. */
const REACH = 3;
const CHORDS = 8; // that measure an edge of the grid
const NEAR_CHORDS = 4; // that measure the way from a point to a corner of its cell, half an edge long
const ROUNDINGS = 16; // passes that round the corners of a path, each by a quarter of both neighbours

/** The grid over a table, its edges measured.
 * @param {Table} table @param {Float64Array} f @param {number} size
 * @returns {Grid} */
export function createGrid({ low: first, high: last, margin, ...rest }, f, size = SIZE) {
  const table = { low: first, high: last, margin, ...rest };
  const ends = [0, 1].map((a) => {
    const [from, to] = [first[a] + margin[a], last[a] - margin[a]];
    const inside = 1e-9 * (to - from); // where the table covers what rounding makes of the outermost
    return [from + inside, to - inside];
  });
  const offset = offsets(REACH);
  const grid = {
    low: ends.map(([from]) => from),
    step: ends.map(([from, to]) => (to - from) / (size - 1)),
    size,
    offset,
    jump: offset.map(([i, j]) => i * size + j),
    length: new Float64Array(size * size * offset.length).fill(Infinity),
  };
  for (let u = 0; u < size * size; u++) {
    // The last half of the offsets are the first half turned round, and chords are as long both ways.
    for (let o = 0; o < offset.length / 2; o++) measureEdge(table, grid, u, o, f);
  }
  return grid;
}

/** Steps to near nodes, none of which is a multiple of another. @param {number} reach */
function offsets(reach) {
  const divisor = (/** @type {number} */ i, /** @type {number} */ j) => {
    while (j) [i, j] = [j, i % j];
    return Math.abs(i);
  };
  const found = [];
  for (let i = -reach; i <= reach; i++) {
    for (let j = -reach; j <= reach; j++) if (divisor(i, j) === 1) found.push([i, j]);
  }
  return found;
}

/** @param {Table} table @param {Grid} grid @param {number} u @param {number} o @param {Float64Array} f */
function measureEdge(table, grid, u, o, f) {
  const { size, offset, jump, length } = grid;
  const to = [Math.floor(u / size) + offset[o][0], (u % size) + offset[o][1]];
  if (to.some((at) => at < 0 || at >= size)) return;
  const v = u + jump[o];
  const far = chordsBetween(table, ...placeOf(grid, u), ...placeOf(grid, v), CHORDS, f);
  length[u * offset.length + o] = far;
  length[v * offset.length + offset.length - 1 - o] = far;
}

/** Where a node lies. @param {Grid} grid @param {number} u @returns {[number, number]} */
function placeOf({ low, step, size }, u) {
  return [low[0] + Math.floor(u / size) * step[0], low[1] + (u % size) * step[1]];
}

const line = new Float64Array(4);

/** The straight way between two points, by so many chords.
 * @param {Table} table @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1
 * @param {number} n @param {Float64Array} f */
function chordsBetween(table, x0, y0, x1, y1, n, f) {
  const [dx, dy] = [(x1 - x0) / n, (y1 - y0) / n];
  let length = 0;
  for (let k = 0; k < n; k++) {
    line[0] = x0 + k * dx;
    line[1] = y0 + k * dy;
    line[2] = x0 + (k + 1) * dx;
    line[3] = y0 + (k + 1) * dy;
    length += Math.sqrt(chord(table, line, 0, line, 1, 0, f));
  }
  return length;
}

/** The shortest paths of a grid, found from a node when they are first asked for, and kept.
 * @param {Grid} grid
 * @returns {Paths} */
export function createPaths(grid) {
  const n = grid.size * grid.size;
  const heap = createHeap(n);
  /** @type {(Row | undefined)[]} */
  const rows = new Array(n);
  return { grid, row: (source) => (rows[source] ??= dijkstra(grid, source, heap)) };
}

/** @param {Grid} grid @param {number} source @param {import("./heap.js").Heap} heap @returns {Row} */
function dijkstra({ size, jump, length }, source, heap) {
  const n = size * size;
  const previous = new Int16Array(n).fill(source);
  heap.begin(source);
  for (let u = heap.pop(); u >= 0; u = heap.pop()) {
    for (let o = 0; o < jump.length; o++) {
      const through = heap.distance[u] + length[u * jump.length + o];
      if (through < Infinity && heap.offer(u + jump[o], through)) previous[u + jump[o]] = u;
    }
  }
  return { distance: Float32Array.from(heap.distance), previous };
}

/** The nodes around a point, and how long the ways to them are.
 * @param {Table} table @param {Grid} grid @param {Chain} point @param {Float64Array} f */
function corners(table, grid, point, f) {
  const cell = [0, 1].map((a) =>
    Math.min(Math.max(Math.trunc((point[a] - grid.low[a]) / grid.step[a]), 0), grid.size - 2));
  return [[0, 0], [1, 0], [0, 1], [1, 1]].map(([i, j]) => {
    const node = (cell[0] + i) * grid.size + cell[1] + j;
    const way = chordsBetween(table, point[0], point[1], ...placeOf(grid, node), NEAR_CHORDS, f);
    return { node, way };
  });
}

/** The node nearest to a point, in steps of the grid.
 * @param {Grid} grid @param {Chain} point
 * @returns {number} */
export function nearestNode({ low, step, size }, point) {
  const [i, j] = [0, 1].map((a) =>
    Math.min(Math.max(Math.round((point[a] - low[a]) / step[a]), 0), size - 1));
  return i * size + j;
}

/** Fill in a curve of m segments along the shortest path from a to b, its corners rounded.
 * @param {Table} table @param {Paths} paths @param {Chain} a @param {Chain} b @param {Chain} curve
 * @param {number} m @param {Float64Array} f
 * @returns {number} the first node of the path */
export function shortestPath(table, { grid, row }, a, b, curve, m, f) {
  const [from, to] = [corners(table, grid, a, f), corners(table, grid, b, f)];
  let [best, first, last] = [Infinity, from[0].node, to[0].node];
  for (const start of from) {
    const { distance } = row(start.node);
    for (const end of to) {
      const length = start.way + distance[end.node] + end.way;
      if (length < best) [best, first, last] = [length, start.node, end.node];
    }
  }
  draw(grid, a, traced(row(first), last, first).reverse(), b, curve, m);
  return first;
}

/** Fill in a curve of m segments from a to b by the nodes `first`, v and `last`.
 * @param {Paths} paths @param {Chain} a @param {Chain} b @param {number} first @param {number} last
 * @param {number} v @param {Chain} curve @param {number} m */
export function pathBy({ grid, row }, a, b, first, last, v, curve, m) {
  const nodes = [...traced(row(first), v, first).reverse(), ...traced(row(last), v, last).slice(1)];
  draw(grid, a, nodes, b, curve, m);
}

/** The nodes from one back to the source of a row. @param {Row} row @param {number} u
 * @param {number} source */
function traced({ previous }, u, source) {
  const nodes = [u];
  while (u !== source) nodes.push((u = previous[u]));
  return nodes;
}

/** Draw a curve of m segments from a by nodes to b, at equal steps of the plane.
 * @param {Grid} grid @param {Chain} a @param {number[]} nodes @param {Chain} b @param {Chain} curve
 * @param {number} m */
function draw(grid, a, nodes, b, curve, m) {
  const points = Float64Array.from([...a, ...nodes.flatMap((u) => placeOf(grid, u)), ...b]);
  const n = points.length / 2 - 1;
  const position = new Float64Array(n + 1);
  for (let i = 0; i < n; i++) {
    const far = Math.hypot(points[2 * i + 2] - points[2 * i], points[2 * i + 3] - points[2 * i + 1]);
    position[i + 1] = position[i] + far;
  }
  resample(points, position, n, curve, m);
  const rounded = curve.slice(0, 2 * m + 2);
  for (let turn = 0; turn < ROUNDINGS; turn++) {
    for (let k = 2; k < 2 * m; k++) rounded[k] = 0.25 * (curve[k - 2] + curve[k + 2]) + 0.5 * curve[k];
    copy(rounded, curve, m);
  }
}
