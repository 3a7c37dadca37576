// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { through } from "../../../src/pullback/explorer/page/curves.js";
import { escaped, field, keptOf, toCSV, toSVG } from "../../../src/pullback/explorer/page/paths.js";
import { lifted } from "../../../src/pullback/explorer/page/planes.js";
import { blank } from "../../../src/pullback/explorer/page/state.js";
import { toScreen } from "../../../src/pullback/explorer/page/view.js";

/** @type {[number, number][]} */
const POINTS = [[0.1, 1 / 3], [0.7, -1e-17], [2, 5]];

function shown() {
  return /** @type {any} */ ({
    ...blank(),
    scene: { title: 'digits <0> & "1"', axes: [1, 3], names: ["z2", "z4"],
      d: 4, origin: [9, 0, 7, 0], basis: [[0, 1, 0, 0], [0, 0, 0, 1]] },
    codes: new Float32Array([0, 0, 1, 1, 50, 50]),
    a: POINTS[0],
    b: POINTS[2],
    view: { scale: 10, x: 20, y: 80 },
    size: [100, 100],
    path: {
      certified: true, status: "converged", words: [],
      geodesic: { points: POINTS, length: 1.25 }, straight: { length: 2 },
    },
  });
}

/** Read CSV by RFC 4180. @param {string} text */
function rows(text) {
  return text.trimEnd().split("\r\n").map((line) =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, 8)
      .map(([, cell]) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell)));
}

test("a kept path has its ends in all dimensions", () => {
  const kept = keptOf(shown(), 7);
  assert.deepEqual([kept?.a, kept?.axes, kept?.straight], [[9, 0.1, 7, 1 / 3], [1, 3], 2]);
  assert.deepEqual([kept?.badge, kept?.certified], ["certified", true]);
  const doubted = { ...shown().path, words: ["A geodesic, but another way is nearly as short."] };
  const doubtful = keptOf({ ...shown(), path: doubted }, 7);
  assert.deepEqual([doubtful?.badge, doubtful?.certified], ["with a doubt", false]);
  assert.equal(keptOf({ ...shown(), path: null }, 7), null);
});

test("CSV has a row for each point, and its numbers are the very ones", () => {
  const kept = /** @type {any} */ (keptOf(shown(), 7));
  const [head, ...body] = rows(toCSV([kept, { ...kept, status: 'no, "wall"' }]));
  assert.deepEqual(head, ["path", "point", "z2", "z4", "length", "straight_length", "certified", "status"]);
  assert.equal(body.length, 6);
  body.forEach((row, i) => {
    assert.deepEqual([Number(row[2]), Number(row[3])], POINTS[i % 3]);
    assert.equal(row[0], i < 3 ? "1" : "2");
  });
  assert.equal(body[5][7], 'no, "wall"');
  assert.equal(rows(toCSV([])).length, 1);
});

test("CSV says of each path in which plane it was kept, where they were several", () => {
  const kept = /** @type {any} */ (keptOf(shown(), 7));
  const other = { ...kept, axes: "principal", names: ["one (5 %)", "two"] };
  assert.deepEqual(toCSV([other]).split(",").slice(2, 4), ["one (5 %)", "two"]);
  const [head, first, ...rest] = toCSV([kept, other]).trimEnd().split("\r\n").map((row) => row.split(","));
  assert.deepEqual([head[2], head[3], head[8]], ["across", "up", "plane"]);
  assert.deepEqual([first[8], rest[4][8]], ["z2 x z4", "one (5 %) x two"]);
});

test("a picture holds the kept paths of its own plane only", () => {
  const kept = /** @type {any} */ (keptOf(shown(), 7));
  const draw = (/** @type {any} */ path) => toSVG(/** @type {any} */ ({
    state: { ...shown(), kept: [path] }, paint: new Uint8Array(12), radius: 2, heat: "", points: "",
    colours: { paper: "#fff", ink: "#123456", geodesic: "#00f", straight: "#f00" },
  })).includes("#123456");
  assert.deepEqual([draw(kept), draw({ ...kept, axes: "principal" })], [true, false]);
});

test("a point of an oblique plane has all its coordinates", () => {
  const scene = /** @type {any} */ ({ d: 3, origin: [1, 2, 3], basis: [[1, 0, 1], [0, 2, 0]] });
  assert.deepEqual(lifted(scene, [0.5, -1]), [1.5, 0, 3.5]);
});

test("fields are quoted where they must be", () => {
  assert.deepEqual([field(0.5), field("a b"), field("a,b"), field('"')], ["0.5", "a b", '"a,b"', '""""']);
});

test("a curve as SVG has it gives back its points", () => {
  const numbers = (through(POINTS).match(/-?[\d.]+(e-?\d+)?/g) ?? []).map(Number);
  assert.deepEqual(numbers, POINTS.flat());
});

test("an SVG picture holds the codes that are shown, the curves and both ends", () => {
  const colours = { paper: "#fff", ink: "#000", geodesic: "#00f", straight: "#f80" };
  const state = { ...shown(), kept: [/** @type {any} */ (keptOf(shown(), 1))] };
  const svg = toSVG({ state, paint: new Uint8Array(12), colours, radius: 3, heat: "", points: "data:x" });
  assert.equal(svg.match(/r="3"/g)?.length, 2); // the third code lies beyond the screen
  assert.equal(svg.split(`d="${through(POINTS)}"`).length, 3); // the geodesic, and it as kept
  assert.ok(svg.includes(`d="${through([POINTS[0], POINTS[2]])}"`));
  const [x, y] = toScreen(state.view, POINTS[2]);
  assert.ok(svg.includes(`cx="${x.toFixed(2)}" cy="${y.toFixed(2)}"`));
  assert.ok(svg.includes("<title>digits &lt;0> &amp; &quot;1&quot;</title>"));
  assert.ok(!svg.includes("<image"));
});

test("very many codes are a picture", () => {
  const state = { ...shown(), codes: new Float32Array(20_000) };
  const colours = { paper: "#fff", ink: "#000", geodesic: "#00f", straight: "#f80" };
  const svg = toSVG({ state, paint: new Uint8Array(40_000), colours, radius: 3, heat: "", points: "data:x" });
  assert.ok(svg.includes('<image href="data:x"'));
  assert.ok(!svg.includes('r="3"'));
});

test("texts of the data cannot break out of XML", () => {
  assert.equal(escaped('<a b="&">'), "&lt;a b=&quot;&amp;&quot;>");
});
