// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { follow } from "../../../src/pullback/explorer/page/asking.js";
import { NOWHERE, blank, createStore } from "../../../src/pullback/explorer/page/state.js";

test("no path is asked for before it is known where the points begin", async () => {
  const store = createStore(blank());
  const asked = /** @type {any[]} */ ([]);
  const link = /** @type {any} */ ({ ask: async (/** @type {string} */ _, /** @type {any} */ body) => void asked.push(body) });
  follow(store, link);
  store.set({ scene: /** @type {any} */ ({ title: "digits" }), a: NOWHERE, b: NOWHERE });
  assert.deepEqual(asked, []);
  store.set({ a: [0, 0], b: [0, 0] }); // one place, but two points that a hand put there
  assert.equal(asked.length, 1);
});
