// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { double, resample } from "../../../src/pullback/explorer/page/alone/chains.js";
import { findDetours } from "../../../src/pullback/explorer/page/alone/detours.js";
import { every, measureImages } from "../../../src/pullback/explorer/page/alone/exact.js";
import { createGrid, createPaths } from "../../../src/pullback/explorer/page/alone/grid.js";
import { createHeap } from "../../../src/pullback/explorer/page/alone/heap.js";
import { fetched, socketOf } from "../../../src/pullback/explorer/page/alone/inside.js";
import { affine, erf } from "../../../src/pullback/explorer/page/alone/network.js";
import { encoded, unpacked } from "../../../src/pullback/explorer/page/alone/packed.js";
import { createSearch } from "../../../src/pullback/explorer/page/alone/search.js";
import { strips } from "../../../src/pullback/explorer/page/alone/shown.js";
import { createTable, newForm, read } from "../../../src/pullback/explorer/page/alone/table.js";
import { tell, tellNone, tellOnTable } from "../../../src/pullback/explorer/page/alone/told.js";
import { follow } from "../../../src/pullback/explorer/page/asking.js";
import { bytesOf } from "../../../src/pullback/explorer/page/link.js";
import { blank, createStore } from "../../../src/pullback/explorer/page/state.js";

/** A table whose log D_1 and log D_2 are those of a function, and L = I: of smooth functions the values
 * at the knots are near enough to coefficients. @param {(x: number, y: number) => number} log */
function tableOf(log, n = 33) {
  const coefficients = new Float64Array(3 * n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const at = 3 * (i * n + j);
      coefficients[at] = coefficients[at + 1] = log((i - 1) / (n - 3), (j - 1) / (n - 3));
    }
  }
  return createTable({ low: [0, 0], high: [1, 1], margin: [0, 0], shape: [n, n] }, coefficients);
}

test("a flat table measures as the plane does, and its geodesics are straight", () => {
  const table = tableOf(() => Math.log(4));
  assert.ok(Math.abs(read(table, 0, 0.3, 0.4, 3, 4, newForm()) - 100) < 1e-12);
  const found = /** @type {any} */ (createSearch(table).find([0.1, 0.2], [0.7, 0.9]));
  assert.ok(found.settled && found.minimal);
  assert.ok(Math.abs(found.length / (2 * Math.hypot(0.6, 0.7)) - 1) < 1e-12);
  assert.equal(found.rival, null);
});

test("derivatives of a table are those of differences", () => {
  const table = tableOf((x, y) => Math.sin(3 * x) - x * y);
  const [f, g] = [newForm(), newForm()];
  const step = 1e-5;
  read(table, 2, 0.41, 0.57, 0.3, -0.8, f);
  const q = (/** @type {number} */ dx, /** @type {number} */ dv) =>
    read(table, 2, 0.41 + dx, 0.57, 0.3 + dv, -0.8, g);
  assert.ok(Math.abs((q(step, 0) - q(-step, 0)) / (2 * step) - f[0]) < 1e-7);
  assert.ok(Math.abs((q(0, step) - q(0, -step)) / (2 * step) - f[2]) < 1e-7);
  q(step, 0);
  const [dz, dv] = [g[0], g[2]];
  q(-step, 0);
  assert.ok(Math.abs((dz - g[0]) / (2 * step) - f[4]) < 1e-5);
  assert.ok(Math.abs((dv - g[2]) / (2 * step) - f[8]) < 1e-5);
});

test("a hill in the way is gone round, and the other way round is told of", () => {
  const hill = (/** @type {number} */ x, /** @type {number} */ y) =>
    6 * Math.exp(-40 * ((x - 0.5) ** 2 + (y - 0.5) ** 2));
  const found = /** @type {any} */ (createSearch(tableOf(hill, 65)).find([0.15, 0.5], [0.85, 0.49]));
  assert.ok(found.settled && found.minimal);
  assert.ok(found.length < 0.7 * found.straight);
  assert.ok(found.rival > found.length && found.rival < 1.1 * found.length);
});

test("two ways round a hill are both found on the grid, and one way is one", () => {
  const ways = (/** @type {number} */ height) => {
    const hill = (/** @type {number} */ x, /** @type {number} */ y) =>
      height * Math.exp(-40 * ((x - 0.5) ** 2 + (y - 0.5) ** 2));
    const grid = createGrid(tableOf(hill, 65), newForm(), 24);
    return findDetours(createPaths(grid), 3 * 24 + 12, 20 * 24 + 12).map((v) => (v % 24 < 12 ? "below" : "above"));
  };
  assert.deepEqual(new Set(ways(6)), new Set(["below", "above"]));
  assert.equal(new Set(ways(0)).size, 1);
});

test("a heap gives the nearest first, and knows what came nearer", () => {
  const heap = createHeap(5);
  heap.begin(0);
  assert.equal(heap.pop(), 0);
  assert.deepEqual([[1, 4], [2, 3], [3, 5], [3, 1], [2, 9]].map(([v, far]) => heap.offer(v, far)),
    [true, true, true, true, false]);
  assert.deepEqual([1, 2, 3, 4].map(() => heap.pop()), [3, 2, 1, -1]);
});

test("nodes are put on the cubic through their neighbours", () => {
  const chain = new Float64Array(26);
  for (let i = 0; i <= 6; i++) [chain[2 * i], chain[2 * i + 1]] = [i, i ** 3];
  double(chain, 6);
  for (let i = 0; i <= 12; i++) assert.ok(Math.abs(chain[2 * i + 1] - (i / 2) ** 3) < 1e-12);
});

test("nodes are spaced by positions, and every so many are taken", () => {
  const points = Float64Array.from([0, 0, 1, 0, 1, 3]);
  const chain = new Float64Array(10);
  resample(points, Float64Array.from([0, 1, 4]), 2, chain, 4);
  assert.deepEqual([...chain], [0, 0, 1, 0, 1, 1, 1, 2, 1, 3]);
  assert.deepEqual([...every(chain, 2)], [0, 0, 1, 1, 1, 3]);
});

test("an arc is measured to sixth order by chords", () => {
  const images = Float64Array.from({ length: 2 * 65 }, (_, k) =>
    (k & 1 ? Math.sin : Math.cos)((Math.PI * (k >> 1)) / 64));
  const { length, error, variation } = measureImages(images, 2);
  assert.ok(Math.abs(length - Math.PI) < 1e-10);
  assert.ok(error < 1e-6 && variation < 1e-12);
});

test("affine maps are right where rows and features are not full blocks", () => {
  const [x, W, bias] = [[1, 2, 3, 4, 5, 6], [1, 0, 0, 1, 1, 1], [10, 20, 30]].map((u) => Float64Array.from(u));
  assert.deepEqual([...affine(x, 3, W, bias, 2, 3)], [11, 22, 33, 13, 24, 37, 15, 26, 41]);
});

test("the error function is that of the tables", () => {
  const known = [[0, 0], [0.5, 0.5204998778130465], [-1, -0.8427007929497149], [3, 0.9999779095030014], [9, 1]];
  for (const [x, y] of known) assert.ok(Math.abs(erf(x) - y) < 1e-15);
});

test("arrays come as they were packed", () => {
  const numbers = [1.5, -0.1, 1e300];
  const data = encoded(new Uint8Array(Float64Array.from(numbers).buffer));
  assert.deepEqual([...unpacked({ kind: "<f8", shape: [3], data })], numbers);
  const single = encoded(new Uint8Array(Float32Array.from([0.1]).buffer));
  assert.deepEqual([...unpacked({ kind: "<f4", shape: [1], data: single })], [Math.fround(0.1)]);
  const long = Uint8Array.from({ length: 20000 }, (_, i) => i % 251);
  assert.deepEqual(bytesOf(encoded(long)), long);
});

test("the features that change most are shown, in the unit of the data", () => {
  const decoder = /** @type {any} */ ({
    dataDim: 3, scale: Float64Array.from([1, 1, 10]), center: Float64Array.from([0, 0, 5]),
  });
  const curve = Float64Array.from([0, 1, 2, 0.5, 1, 4]);
  const look = { image: null, features: ["a", "b", "c"], pixels: /** @type {[number, number]} */ ([0, 1]) };
  assert.deepEqual(strips(look, decoder, [curve]), [
    { names: ["c", "a", "b"], values: [[25, 0, 1], [45, 0.5, 1]] },
  ]);
});

const FOUND = /** @type {any} */ ({
  settled: true, minimal: true, length: 2, straight: 3, mismatch: 1e-6, excess: 1e-8, residual: 0.01, rival: null,
});
const MEASURED = { length: 2.00001, error: 1e-6, variation: 1e-3 };
const BESIDE = { straight: 3, floor: 1.5 };

test("a geodesic that the decoder confirms is certified, and all is told in words", () => {
  const { certified, status, words } = tell(FOUND, MEASURED, BESIDE);
  assert.deepEqual([certified, status], [true, "converged"]);
  assert.match(words[0], /^Certified: this is a geodesic of the table/);
  assert.match(words[1], /33 % shorter than the straight line \(2 and 3\)/);
  assert.match(words[2], /shorter than 1.5, the distance of the images/);
  assert.match(words[3], /the table is off by one part in 200,000\./);
  assert.match(words[4], /about one part in 1,000,000, and its speed is even to one part in 1,000\./);
});

test("what the decoder does not confirm is not certified, and why is said first", () => {
  const why = (/** @type {object} */ found, measured = {}) =>
    tell({ ...FOUND, ...found }, { ...MEASURED, ...measured }, BESIDE);
  assert.equal(why({ settled: false }).status, "stalled");
  assert.equal(why({ minimal: false }).status, "unresolved");
  assert.equal(why({ length: 3.1 }).status, "stalled");
  assert.match(why({}, { length: 2.002 }).words[0], /^Not certified: the table is off .* by 0.1 % of the length/);
  assert.equal(why({}, { error: 2e-4 }).status, "unresolved");
  assert.equal(why({ mismatch: 2e-4 }).certified, false);
  assert.match(why({}, { variation: 0.05 }).words[0], /speed on the decoder varies by 5 %/);
});

test("a rival that is nearly as short casts a doubt", () => {
  const told = tell({ ...FOUND, rival: 2.1 }, MEASURED, BESIDE);
  assert.equal(told.certified, true);
  assert.match(told.words[0], /^A geodesic, but another way is nearly as short \(2.1\)/);
  assert.match(tell({ ...FOUND, rival: 2.3 }, MEASURED, BESIDE).words[0], /^Certified/);
});

test("one point and no way are told apart", () => {
  const { certified, status, words } = tellOnTable(2, 2.5);
  assert.deepEqual([certified, status], [false, "on_table"]);
  assert.match(words[1], /20 % shorter than the straight line \(2 and 2.5\)/);
  assert.deepEqual([tellNone(true).certified, tellNone(false).certified], [true, false]);
});

/** A link that answers paths at once, and keeps what it was asked for. */
function bench() {
  /** @type {string[]} */
  const asked = [];
  const path = { geodesic: { points: [[0, 0], [1, 1]], length: 2 }, straight: { length: 3 }, more: "measure", status: "on_table" };
  const more = { geodesic: { length: 2.5 }, straight: { length: 3.5 }, more: "", status: "converged", certified: true };
  const link = { ask: async (/** @type {string} */ type) => (asked.push(type), type === "path" ? path : more) };
  const store = createStore(blank());
  store.set({ scene: /** @type {any} */ ({}) });
  follow(store, /** @type {any} */ (link));
  return { asked, store };
}

const rest = (/** @type {number} */ ms) => new Promise((resolve) => void setTimeout(resolve, ms));

test("more of a path is asked for when the points rest, and takes the place of parts of it", async () => {
  const { asked, store } = bench();
  store.set({ a: [0, 1] });
  await rest(20);
  assert.deepEqual([asked, store.get().path?.status], [["path"], "on_table"]);
  await rest(250);
  assert.deepEqual(asked, ["path", "measure"]);
  const { path } = store.get();
  assert.deepEqual(path?.geodesic, { points: [[0, 0], [1, 1]], length: 2.5 });
  assert.deepEqual([path?.straight.length, path?.certified], [3.5, true]);
});

test("nothing more is asked for while the points move", async () => {
  const { asked, store } = bench();
  for (let k = 0; k < 6; k++) {
    store.set({ b: [k, 1] });
    await rest(30);
  }
  assert.deepEqual(new Set(asked), new Set(["path"]));
  await rest(250);
  assert.equal(asked.filter((type) => type === "measure").length, 1);
});

test("what a server sends is there, gaps too", async () => {
  const values = encoded(new Uint8Array(Float32Array.from([1, NaN, 0.5]).buffer));
  const codes = encoded(new Uint8Array(Float32Array.from([1, 2]).buffer));
  const shown = /** @type {any} */ ({ scene: { title: "t" }, codes, columns: { "a b": values } });
  assert.deepEqual(await fetched(shown, "scene").json(), { title: "t" });
  const bytes = await fetched(shown, "codes?axes=0,1").arrayBuffer();
  assert.deepEqual([...new Float32Array(bytes)], [1, 2]);
  assert.deepEqual(await fetched(shown, "column?name=a%20b").json(), { values: [1, null, 0.5] });
});

test("a worker is a socket that opens a moment later", async () => {
  /** @type {any[]} */
  const heard = [];
  const worker = /** @type {any} */ ({ postMessage: (/** @type {string} */ text) => heard.push(text), terminate: () => heard.push("end") });
  const socket = socketOf(worker);
  socket.onopen = () => heard.push("open");
  socket.onmessage = (/** @type {any} */ { data }) => heard.push(data);
  await Promise.resolve();
  socket.send("ask");
  worker.onmessage({ data: "answer" });
  socket.close();
  assert.deepEqual(heard, ["open", "ask", "answer", "end"]);
});
