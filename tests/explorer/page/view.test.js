// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, fit, matrix, panned, resized, shown, ticks, toData, toScreen, zoomed } from "../../../src/pullback/explorer/page/view.js";

const VIEW = { scale: 37.5, x: 210.25, y: -14 };

/** @param {number[]} found @param {number[]} truth */
function near(found, truth) {
  found.forEach((u, i) => assert.ok(Math.abs(u - truth[i]) < 1e-9, `${found} is not ${truth}`));
}

test("the screen and the plane are inverse to each other", () => {
  for (const point of /** @type {[number, number][]} */ ([[0, 0], [-3.5, 2], [1e3, -1e-3]])) {
    near(toData(VIEW, toScreen(VIEW, point)), point);
    near(toScreen(VIEW, toData(VIEW, point)), point);
  }
});

test("y points upwards", () => {
  assert.ok(toScreen(VIEW, [0, 1])[1] < toScreen(VIEW, [0, 0])[1]);
  assert.ok(toScreen(VIEW, [1, 0])[0] > toScreen(VIEW, [0, 0])[0]);
});

test("fit shows the whole box, in the middle, and touches a margin", () => {
  const view = fit([[-1, 2], [3, 4]], 400, 300, 20);
  near(toScreen(view, [1, 3]), [200, 150]);
  near(toScreen(view, [-1, 3]), [20, 150]);
  assert.ok(toScreen(view, [1, 4])[1] > 20);
});

test("the box of codes holds them all", () => {
  assert.deepEqual(boxOf(new Float32Array([1, 5, -2, 3, 0, 7])), [[-2, 3], [1, 7]]);
  assert.equal(boxOf(new Float32Array(0)), null);
});

test("fit bears a box without size, and a screen smaller than its margins", () => {
  assert.ok(fit([[1, 1], [1, 1]], 300, 300).scale > 0);
  assert.ok(fit([[0, 0], [1, 1]], 10, 10, 24).scale > 0);
});

test("zooming leaves the pixel where it is, and keeps to its limits", () => {
  const at = /** @type {[number, number]} */ ([77, 120]);
  const before = toData(VIEW, at);
  const view = zoomed(VIEW, 3, at);
  near(toData(view, at), before);
  near([view.scale], [112.5]);
  assert.equal(zoomed(VIEW, 1e9, at, [1, 100]).scale, 100);
  near(toData(zoomed(VIEW, 1e9, at, [1, 100]), at), before);
});

test("panning moves by pixels", () => {
  near(toScreen(panned(VIEW, 5, -7), [1, 1]), toScreen(VIEW, [1, 1]).map((u, i) => u + [5, -7][i]));
});

test("a screen of another size has the same middle and shows no less", () => {
  const view = resized(VIEW, [400, 300], [200, 600]);
  near(toData(view, [100, 300]), toData(VIEW, [200, 150]));
  const [[low], [high]] = shown(view, 200, 600);
  const [[before], [after]] = shown(VIEW, 400, 300);
  assert.ok(low <= before + 1e-9 && high >= after - 1e-9);
});

test("ticks are round, in order, and within", () => {
  assert.deepEqual(ticks(-0.31, 0.31, 7), [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(1990, 2010, 4), [1990, 1995, 2000, 2005, 2010]);
  assert.deepEqual(ticks(1, 1, 5), []);
});

test("the matrix of SVG moves points as toScreen does", () => {
  const [a, b, c, d, e, f] = (matrix(VIEW).match(/-?[\d.]+/g) ?? []).map(Number);
  const [u, v] = [1.5, -2];
  near([a * u + c * v + e, b * u + d * v + f], toScreen(VIEW, [u, v]));
});
