// @ts-check
/** What is said of a geodesic that was found without Python, and whether it is vouched for. */

import { number } from "../certificate.js";

/** @typedef {import("./search.js").Found} Found */
/** @typedef {import("./exact.js").Measured} Measured */
/** @typedef {{status: string, certified: boolean, words: string[]}} Told */

/** Relative error that a length may have: as `Manifold.geodesic` allows by default. */
export const RTOL = 1e-4;
// Difference between the table's length and the exact one from which the table has misled the search.
const WRONG = 3e-4;
// Variation of the exact speed from which a table's answer is not vouched for.
const UNEVEN = 0.02;
// A curve that is longer than the straight line is given up.
const LONGER = 1.001;
// By which share a rival is longer at most that casts a doubt.
const RIVAL = 0.1;

const PYTHON = "Python goes on from here: “pullback explore” shows how.";

/** Why a curve is not vouched for, or nothing.
 * @param {Found} found @param {Measured} measured
 * @returns {{status: string, why: string} | null} */
export function fault(found, { length, error, variation }) {
  if (!found.settled) return { status: "stalled", why: "the search on the table did not come to its end" };
  if (!found.minimal) return { status: "unresolved", why: "a small change of the curve may make it shorter" };
  if (!(found.length <= LONGER * found.straight)) {
    return { status: "stalled", why: "what the search found is longer than the straight line" };
  }
  const off = Math.abs(length / found.length - 1);
  if (!(off <= WRONG)) {
    return { status: "inexact", why: `the table is off along the curve, by ${percent(off)} of the length` };
  }
  if (!(Math.max(error, found.mismatch, found.excess) <= RTOL)) {
    return { status: "unresolved", why: "its length still changes with the number of points" };
  }
  if (!(variation <= UNEVEN)) {
    return { status: "inexact", why: `its speed on the decoder varies by ${percent(variation)}` };
  }
  return null;
}

/** What is told of a geodesic: first whether it is vouched for.
 * @param {Found} found @param {Measured} measured
 * @param {{straight: number, floor: number}} beside lengths of the straight line, and between the
 *   images of its ends
 * @returns {Told} */
export function tell(found, measured, { straight, floor }) {
  const { length, error, variation } = measured;
  const why = fault(found, measured);
  const first = why ? `Not certified: ${why.why}. ${PYTHON}` : verdict(found, length);
  const words = [first, ...compared(length, straight)];
  if (floor > 0) words.push(`No way can be shorter than ${number(floor)}, the distance of the images.`);
  if (why?.status !== "stalled") {
    const off = Math.abs(length / found.length - 1);
    words.push(`Both lengths are measured on the decoder itself: the table is off by ${parts(off)}.`);
    const known = parts(Math.max(error, found.mismatch, found.excess));
    words.push(`The length is known to about ${known}, and its speed is even to ${parts(variation)}.`);
  }
  return { status: why?.status ?? "converged", certified: !why, words };
}

/** @param {Found} found @param {number} length */
function verdict({ rival }, length) {
  if (rival !== null && rival < (1 + RIVAL) * length) {
    return `A geodesic, but another way is nearly as short (${number(rival)}): it may be mistaken.`;
  }
  return "Certified: this is a geodesic of the table, and every small change makes it longer.";
}

/** What is told of a geodesic of the table before the decoder has measured it.
 * @param {number} length @param {number} straight
 * @returns {Told} */
export function tellOnTable(length, straight) {
  const words = ["The decoder measures it when the points rest.", ...compared(length, straight)];
  return { status: "on_table", certified: false, words };
}

/** How a geodesic and the straight line compare. @param {number} length @param {number} straight */
function compared(length, straight) {
  if (!(Number.isFinite(straight) && straight > 0)) return [];
  const gain = 1 - length / straight;
  const [size, kind] = [percent(Math.abs(gain)), gain > 0 ? "shorter" : "longer"];
  const than = Math.abs(gain) >= 5e-4 ? `${size} ${kind} than` : "as long as";
  return [`It is ${than} the straight line (${number(length)} and ${number(straight)}).`];
}

/** What is told where both points are one, or no curve stays on the table.
 * @param {boolean} isOnePoint
 * @returns {Told} */
export function tellNone(isOnePoint) {
  if (isOnePoint) return { status: "converged", certified: true, words: ["Certified: both points are one."] };
  const words = [`Not certified: no way between the points stays on the table. ${PYTHON}`];
  return { status: "left_domain", certified: false, words };
}

/** @param {number} value */
const percent = (value) => `${Number((100 * value).toPrecision(2))} %`;
/** A small share as one reads it: one digit of it says enough. @param {number} value */
const parts = (value) => `one part in ${Number((1 / Math.max(value, 1e-9)).toPrecision(1)).toLocaleString("en-US")}`;
