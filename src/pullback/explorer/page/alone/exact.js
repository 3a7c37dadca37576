// @ts-check
/** Curves measured on the decoder itself: by chords between images, of one step, of two and of four. */

import { double } from "./chains.js";

/** @typedef {import("./decoder.js").Decoder} Decoder */
/** @typedef {import("./decoder.js").Decoded} Decoded */
/** @typedef {{length: number, error: number, variation: number}} Measured `error` is the estimated
 *   share of the length by which it is off, `variation` the standard deviation of the speed over its
 *   mean. */

/** Segments that measure a curve first; of a geodesic twice as many where that leaves a doubt. */
export const SEGMENTS = 64;

/** Chords between images that are so many rows apart.
 * @param {Float64Array} images @param {number} size numbers of an image @param {number} step
 * @returns {number[]} */
export function chordsOf(images, size, step) {
  const n = images.length / size;
  const chords = [];
  for (let r = 0; r + step < n; r += step) {
    let squared = 0;
    for (let i = 0, a = r * size, b = (r + step) * size; i < size; i++) {
      squared += (images[b + i] - images[a + i]) ** 2;
    }
    chords.push(Math.sqrt(squared));
  }
  return chords;
}

const total = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0);

/** Measure by images at equal times, to sixth order in the step.
 * @param {Float64Array} images @param {number} size
 * @returns {Measured} */
export function measureImages(images, size) {
  const narrow = chordsOf(images, size, 1);
  const [one, two, four] = [total(narrow), ...[2, 4].map((step) => total(chordsOf(images, size, step)))];
  const gained = ((4 * one - two) / 3 - (4 * two - four) / 3) / 15;
  const length = (4 * one - two) / 3 + gained;
  const mean = one / narrow.length;
  const spread = total(narrow.map((speed) => (speed - mean) ** 2)) / (narrow.length - 1);
  return { length, error: Math.abs(gained) / length, variation: Math.sqrt(spread) / mean };
}

/** Measure a curve on the decoder, by twice as many points where few leave a doubt.
 * @param {Decoder} decoder
 * @param {Float64Array} nodes of n segments, n a multiple of `SEGMENTS`
 * @param {number} onTable its length there
 * @param {number} rtol
 * @returns {Measured & {points: Float64Array, decoded: Decoded}} with `SEGMENTS` + 1 points and what
 *   is decoded there */
export function measureCurve(decoder, nodes, onTable, rtol) {
  const { imageDim } = decoder;
  const points = every(nodes, SEGMENTS);
  const decoded = decoder.decode(points);
  let measured = measureImages(decoded.image, imageDim);
  const off = Math.abs(measured.length / onTable - 1);
  if (!(Math.max(off, measured.error) <= rtol)) {
    const between = halves(nodes);
    const images = woven(decoded.image, decoder.decode(between).image, imageDim);
    measured = measureImages(images, imageDim);
  }
  return { ...measured, points, decoded };
}

/** So many segments of a chain, n a divisor of those that it has.
 * @param {Float64Array} nodes @param {number} n
 * @returns {Float64Array} */
export function every(nodes, n) {
  const step = (nodes.length / 2 - 1) / n;
  return Float64Array.from({ length: 2 * (n + 1) }, (_, k) => nodes[2 * step * (k >> 1) + (k & 1)]);
}

/** The points half-way between those that measure first. @param {Float64Array} nodes */
function halves(nodes) {
  let fine = nodes;
  if (nodes.length / 2 - 1 < 2 * SEGMENTS) {
    fine = new Float64Array(2 * (2 * SEGMENTS + 1));
    fine.set(nodes);
    double(fine, SEGMENTS);
  }
  const all = every(fine, 2 * SEGMENTS);
  return Float64Array.from({ length: 2 * SEGMENTS }, (_, k) => all[2 * (2 * (k >> 1) + 1) + (k & 1)]);
}

/** Rows of one array with those of another between them. @param {Float64Array} rows
 * @param {Float64Array} between @param {number} size */
function woven(rows, between, size) {
  const all = new Float64Array(rows.length + between.length);
  for (let r = 0; r * size < rows.length; r++) {
    all.set(rows.subarray(r * size, (r + 1) * size), 2 * r * size);
    if (r * size < between.length) all.set(between.subarray(r * size, (r + 1) * size), (2 * r + 1) * size);
  }
  return all;
}

/** The straight line between two points, as nodes of so many segments.
 * @param {number[]} a @param {number[]} b @param {number} n
 * @returns {Float64Array} */
export function line(a, b, n) {
  return Float64Array.from({ length: 2 * (n + 1) }, (_, k) => {
    const t = (k >> 1) / n;
    return a[k & 1] * (1 - t) + b[k & 1] * t;
  });
}

/** Measure the straight line on the decoder.
 * @param {Decoder} decoder @param {number[]} a @param {number[]} b
 * @returns {{length: number, decoded: Decoded}} */
export function measureLine(decoder, a, b) {
  const decoded = decoder.decode(line(a, b, SEGMENTS));
  return { length: measureImages(decoded.image, decoder.imageDim).length, decoded };
}
