// @ts-check
/** What is decoded along curves, as the strips take it: images, or the features that change. */

import { chordsOf } from "./exact.js";
import { encoded } from "./packed.js";

/** @typedef {import("./decoder.js").Decoder} Decoder */
/** @typedef {import("../link.js").Strip} Strip */
/** @typedef {{image: [number, number] | null, features: string[] | null,
 *   pixels: [number, number]}} Look how a sample is shown: as an image of (height, width), whose least
 *   and largest pixels are drawn black and white, or by the names of its features */

/** The most features that are shown along a path: as many fit beside the map. */
const MOST = 12;

/** Some rows, at equal steps from the first to the last.
 * @param {Float64Array} rows @param {number} size numbers of a row @param {number} n
 * @returns {Float64Array} */
export function picked(rows, size, n) {
  const last = rows.length / size - 1;
  const some = new Float64Array(n * size);
  for (let k = 0; k < n; k++) {
    const r = Math.round((k * last) / (n - 1 || 1));
    some.set(rows.subarray(r * size, (r + 1) * size), k * size);
  }
  return some;
}

/** Numbers to six digits, null where one is not finite.
 * @param {ArrayLike<number>} values
 * @returns {(number | null)[]} */
export const rounded = (values) =>
  Array.from(values, (u) => (Number.isFinite(u) ? Number(u.toPrecision(6)) : null));

/** The sizes of n equal steps along rows of means.
 * @param {Float64Array} means @param {number} size @param {number} n
 * @returns {(number | null)[]} */
export const sizes = (means, size, n) => rounded(chordsOf(picked(means, size, n + 1), size, 1));

/** What is shown of rows of means along curves: the same features for all of them.
 * @param {Look} look @param {Decoder} decoder @param {Float64Array[]} curves
 * @returns {Strip[]} */
export function strips(look, { dataDim: size, scale, center }, curves) {
  const read = curves.map((means) => means.map((u, i) => u * scale[i % size] + center[i % size]));
  if (look.image) return read.map((rows) => pictures(look, rows));
  const change = Array.from({ length: size }, (_, j) => rangeOf(curves, size, j));
  const chosen = change.map((_, j) => j).sort((i, j) => change[j] - change[i]).slice(0, MOST);
  const names = chosen.map((j) => look.features?.[j] ?? `x${j + 1}`);
  return read.map((rows) => {
    const values = Array.from({ length: rows.length / size }, (_, r) =>
      rounded(chosen.map((j) => rows[r * size + j])));
    return /** @type {Strip} */ ({ names, values });
  });
}

/** By how much a feature changes along curves, 0 if that is not known.
 * @param {Float64Array[]} curves @param {number} size @param {number} j */
function rangeOf(curves, size, j) {
  let [low, high] = [Infinity, -Infinity];
  for (const means of curves) {
    for (let at = j; at < means.length; at += size) {
      low = Math.min(low, means[at]);
      high = Math.max(high, means[at]);
    }
  }
  return Number.isNaN(high - low) ? 0 : high - low;
}

/** @param {Look} look @param {Float64Array} rows @returns {Strip} */
function pictures({ image, pixels: [low, high] }, rows) {
  const [height, width] = /** @type {[number, number]} */ (image);
  const bytes = new Uint8Array(rows.length);
  rows.forEach((u, i) => {
    bytes[i] = Math.round(255 * Math.min(Math.max(((u || 0) - low) / (high - low), 0), 1));
  });
  return { shape: [rows.length / (height * width), height, width], data: encoded(bytes) };
}
