// @ts-check
/** Which code lies nearest to a point of the plane: by cells, so that 100,000 codes cost no time. */

import { boxOf } from "./view.js";

/** @typedef {import("./view.js").Point} Point */

/** Sort codes into cells, and return what finds the nearest.
 * @param {Float32Array} codes x and y in turn
 * @returns {(point: Point, within: number) => number | null} the index, or null if none is so near */
export function nearestIn(codes) {
  const n = codes.length / 2;
  if (!n) return () => null;
  const [low, high] = /** @type {import("./view.js").Box} */ (boxOf(codes));
  const across = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  const m = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n / 2)))); // about two codes in a cell
  const width = across / m;
  const cell = (/** @type {number} */ value, /** @type {0 | 1} */ axis) =>
    Math.min(Math.max(Math.floor((value - low[axis]) / width), 0), m - 1);
  const { first, order } = sorted(codes, m, cell);
  return (point, within) => {
    let [best, squared] = [-1, within * within];
    const [left, right] = [cell(point[0] - within, 0), cell(point[0] + within, 0)];
    const [bottom, top] = [cell(point[1] - within, 1), cell(point[1] + within, 1)];
    for (let row = bottom; row <= top; row++) {
      for (let k = first[row * m + left]; k < first[row * m + right + 1]; k++) {
        const [dx, dy] = [codes[2 * order[k]] - point[0], codes[2 * order[k] + 1] - point[1]];
        if (dx * dx + dy * dy <= squared) [best, squared] = [order[k], dx * dx + dy * dy];
      }
    }
    return best < 0 ? null : best;
  };
}

/** The codes in the order of their cells, and where each cell begins.
 * @param {Float32Array} codes @param {number} m
 * @param {(value: number, axis: 0 | 1) => number} cell */
function sorted(codes, m, cell) {
  const n = codes.length / 2;
  const homes = new Uint32Array(n);
  const first = new Uint32Array(m * m + 1);
  for (let i = 0; i < n; i++) {
    homes[i] = cell(codes[2 * i + 1], 1) * m + cell(codes[2 * i], 0);
    first[homes[i] + 1]++;
  }
  for (let c = 0; c < m * m; c++) first[c + 1] += first[c];
  const next = first.slice();
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[next[homes[i]]++] = i;
  return { first, order };
}
