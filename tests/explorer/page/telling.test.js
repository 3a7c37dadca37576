// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { piecesOf, readPath, scaleOf } from "../../../src/pullback/explorer/page/asking.js";
import { comparison, length, number, spoken, verdict } from "../../../src/pullback/explorer/page/certificate.js";
import { themeOf } from "../../../src/pullback/explorer/page/controls.js";
import { firstEnds } from "../../../src/pullback/explorer/page/ends.js";
import { stepped, within } from "../../../src/pullback/explorer/page/handles.js";
import { nearestIn } from "../../../src/pullback/explorer/page/nearest.js";
import { picturesOf, spread } from "../../../src/pullback/explorer/page/strips.js";

test("numbers are told in four digits", () => {
  assert.deepEqual([3.14159, -0.5, 0, 1234567, 2e-9, null, NaN, -Infinity].map(number),
    ["3.142", "−0.5", "0", "1.23 × 10⁶", "2.00 × 10⁻⁹", "unknown", "unknown", "−∞"]);
  assert.deepEqual([5.65, 12.3456, 2e-9].map(length), ["5.650", "12.35", "2.00 × 10⁻⁹"]);
});

test("the straight line is compared in words", () => {
  assert.match(comparison(2, 2.0001), /as short as/);
  assert.equal(comparison(2, 2.5), "The straight line is 25 % longer than the geodesic.");
  assert.equal(comparison(8, 8.99), "The straight line is 12.3 % longer than the geodesic.");
  assert.equal(comparison(1, 3.26), "The straight line is 3.3 times as long as the geodesic.");
  assert.equal(comparison(0, null), "");
});

test("the badge and the words do not say the same twice", () => {
  const told = (/** @type {boolean} */ certified, /** @type {string[]} */ ...words) =>
    Object.values(verdict(/** @type {any} */ ({ certified, words, status: "converged" })));
  assert.deepEqual(told(true, "Certified: this is a geodesic."), ["certified", "holds", "This is a geodesic."]);
  assert.deepEqual(told(false, "Not certified: it stopped."), ["not certified", "open", "It stopped."]);
  assert.deepEqual(told(true, "A geodesic, but mistaken."), ["with a doubt", "open", "A geodesic, but mistaken."]);
  assert.deepEqual(told(false), ["not certified", "open", "converged"]);
});

test("steps are told by the smallest and the largest", () => {
  assert.deepEqual([spread([0.123, 0.5, null]), spread([2, 2]), spread([])], ["steps 0.12–0.5", "steps of 2", ""]);
});

test("points that could not be measured are left out, and pieces are curves", () => {
  const path = readPath({ geodesic: { points: [[0, 0], null, [1, 1]], length: null } });
  assert.deepEqual([path.geodesic.points, path.words], [[[0, 0], [1, 1]], []]);
  const piece = [[0, 0], [1, 1]];
  assert.deepEqual(piecesOf([piece, piece]), [piece, piece]);
  assert.deepEqual(piecesOf([[piece, piece], [], [piece]]).filter((one) => one.length), [piece, piece, piece]);
});

test("a layer says which colours it has", () => {
  const scene = /** @type {any} */ ({ layers: [{ name: "cells", kind: "category" }, { name: "x", scale: "diverging" }] });
  assert.deepEqual(["cells", "x", "curvature", "y"].map((name) => scaleOf(scene, name)),
    ["category", "diverging", "diverging", "sequential"]);
});

test("a handle stays in the box", () => {
  assert.deepEqual(within([5, -5], { box: [[0, -1], [4, 1]] }), [4, -1]);
  assert.deepEqual(within([5, -5], null), [5, -5]);
  /** @type {[number, number][]} */
  const outline = [[-2, 0], [0, -2], [2, 0], [0, 2]];
  const there = (/** @type {number} */ x, /** @type {number} */ y) => within([x, y], { box: [[-2, -2], [2, 2]], outline });
  assert.deepEqual([there(0.5, 1), there(3, 3), there(9, 0)], [[0.5, 1], [1, 1], [2, 0]]);
});

test("a screen reader hears both lengths and whether they are certified", () => {
  const path = /** @type {any} */ ({ words: ["Certified."], geodesic: { length: 2 }, straight: { length: 3 } });
  assert.equal(spoken(path), "Geodesic 2, straight line 3. Certified.");
});

test("arrows move a point within what is shown, and Shift moves it farther", () => {
  /** @type {[[number, number], [number, number]]} */
  const box = [[0, 0], [10, 20]];
  assert.deepEqual(stepped("ArrowUp", false, [1, 1], box), [1, 1.1]);
  assert.deepEqual(stepped("ArrowLeft", true, [1, 1], box), [0.5, 1]);
  assert.equal(stepped("Tab", false, [1, 1], box), null);
});

test("the theme is that of the system until one is chosen", () => {
  assert.deepEqual([themeOf(null, true), themeOf(null, false), themeOf("light", true), themeOf("x", true)],
    ["dark", "light", "light", "dark"]);
});

test("the nearest code is that of a search through all", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const codes = Float32Array.from({ length: 4000 }, () => random() ** 3 * 10 - 5);
  const nearest = nearestIn(codes);
  let found = 0;
  for (let trial = 0; trial < 300; trial++) {
    const [x, y, within] = [random() * 14 - 7, random() * 14 - 7, random()];
    let [best, least] = [/** @type {number | null} */ (null), within];
    for (let i = 0; i < 2000; i++) {
      const far = Math.hypot(codes[2 * i] - x, codes[2 * i + 1] - y);
      if (far <= least) [best, least] = [i, far];
    }
    assert.equal(nearest([x, y], within), best);
    found += Number(best !== null);
  }
  assert.ok(found > 100 && found < 300);
  assert.equal(nearestIn(new Float32Array(0))([0, 0], 9), null);
  assert.equal(nearestIn(new Float32Array([2, 2]))([2, 2], 1), 0);
});

test("the handles begin at the two classes that lie farthest apart", () => {
  const codes = new Float32Array([0, 0, 0.2, 0, 9, 9, 9, 9.4, 1, 1]);
  const colouring = /** @type {any} */ ({ kind: "category", values: [0, 0, 1, 1, 2], labels: [] });
  const { a, b } = firstEnds(codes, colouring);
  assert.ok(a[0] < 1 && b[0] === 9);
  const halves = firstEnds(codes, null);
  assert.ok(halves.a[0] < halves.b[0]);
  assert.deepEqual(firstEnds(new Float32Array(0), null), { a: [0, 0], b: [1, 0] });
});

test("a strip is cut into its pictures", () => {
  const data = btoa(String.fromCharCode(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  const { width, height, pictures } = picturesOf({ shape: [2, 2, 3], data });
  assert.deepEqual([width, height, [...pictures[1]]], [3, 2, [7, 8, 9, 10, 11, 12]]);
});
