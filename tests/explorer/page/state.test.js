// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { blank, createStore, onceAFrame } from "../../../src/pullback/explorer/page/state.js";

test("listeners are told once, after all is set, and of their keys only", () => {
  const store = createStore({ a: 1, b: 2, c: 3 });
  /** @type {number[]} */
  const told = [];
  store.on(["a", "b"], (state) => told.push(state.a * 10 + state.b));
  store.set({ a: 5, b: 6 });
  store.set({ c: 9 });
  store.set({ a: 5 });
  assert.deepEqual(told, [56]);
  assert.deepEqual(store.get(), { a: 5, b: 6, c: 9 });
});

test("a listener may set, and may stop listening", () => {
  const store = createStore({ a: 0, twice: 0 });
  store.on(["a"], ({ a }) => store.set({ twice: 2 * a }));
  let count = 0;
  const stop = store.on(["twice"], () => void count++);
  store.set({ a: 4 });
  assert.equal(store.get().twice, 8);
  stop();
  store.set({ a: 5 });
  assert.deepEqual([store.get().twice, count], [10, 1]);
});

test("two pages do not share what they show", () => {
  const [one, other] = [createStore(blank()), createStore(blank())];
  one.set({ kept: [...one.get().kept, /** @type {any} */ ({})] });
  assert.equal(other.get().kept.length, 0);
});

test("a frame draws once, and the next again", () => {
  /** @type {(() => void)[]} */
  const frames = [];
  let drawn = 0;
  const draw = onceAFrame(() => void drawn++, (run) => void frames.push(run));
  draw();
  draw();
  assert.equal(frames.length, 1);
  frames[0]();
  draw();
  frames[1]();
  assert.equal(drawn, 2);
});
