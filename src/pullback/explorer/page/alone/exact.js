// @ts-check
/** Curves measured on the decoder itself: by chords between images, of one step, of two and of four. */

import { double } from "./chains.js";

/** @typedef {import("./decoder.js").Decoder} Decoder */
/** @typedef {{length: number, error: number, variation: number}} Measured `error` is the estimated
 *   share of the length by which it is off, `variation` the standard deviation of the speed over its
 *   mean. */
/** Segments that are drawn of a curve, and measure it first; twice as many where that leaves a doubt. */
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
 * @param {number} rtol the relative error that is a doubt
 * @param {number} onTable the length there, which is to be the same; NaN if none is known
 * @returns {Measured} */
export function measureCurve({ images, imageDim }, nodes, rtol, onTable = NaN) {
  const few = images(every(nodes, SEGMENTS), SEGMENTS + 1);
  const measured = measureImages(few, imageDim);
  const off = Number.isNaN(onTable) ? 0 : Math.abs(measured.length / onTable - 1);
  if (Math.max(off, measured.error) <= rtol) return measured;
  const between = halfWay(every(withSegments(nodes, 2 * SEGMENTS), 2 * SEGMENTS));
  return measureImages(woven(few, images(between, SEGMENTS), imageDim), imageDim);
}

/** A chain of so many segments at least. @param {Float64Array} nodes @param {number} least */
function withSegments(nodes, least) {
  const n = nodes.length / 2 - 1;
  if (n >= least) return nodes;
  const fine = new Float64Array(4 * n + 2);
  fine.set(nodes);
  double(fine, n);
  return withSegments(fine, least);
}

/** So many segments of a chain, n a divisor of those that it has.
 * @param {Float64Array} nodes @param {number} n
 * @returns {Float64Array} */
export function every(nodes, n) {
  const step = (nodes.length / 2 - 1) / n;
  return Float64Array.from({ length: 2 * (n + 1) }, (_, k) => nodes[2 * step * (k >> 1) + (k & 1)]);
}

/** Every second point of a chain, from its second on. @param {Float64Array} chain */
const halfWay = (chain) => chain.filter((_, k) => (k >> 1) & 1);

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
