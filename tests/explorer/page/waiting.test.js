// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { ready, told } from "../../../src/pullback/explorer/page/waiting.js";

/** A place without a browser. @returns {any} */
const place = () => ({ textContent: "Reading the codes…", replaceChildren(/** @type {any[]} */ ...parts) { this.parts = parts; } });

test("what is waited for is told in words", () => {
  assert.equal(told({ what: "table of 64 x 64 cells", done: 1024, total: 4096 }), "Table of 64 x 64 cells: 25 % of 4096 points");
  assert.equal(told({ what: "reading the run", done: 0, total: 0 }), "Reading the run…");
});

test("it is looked again until there is a scene, and the bar shows how far it is", async () => {
  /** @type {any} */ (globalThis).document = { createElement: () => ({ setAttribute() {} }) };
  const answers = [{ waits: { what: "table", done: 3, total: 10 } }, { title: "digits" }];
  const [here, waited] = [place(), /** @type {number[]} */ ([])];
  const found = await ready(here, async () => new Response(JSON.stringify(answers.shift())), (run, ms) => {
    waited.push(ms);
    run();
  });
  assert.deepEqual([found, waited.length, answers.length], [true, 1, 0]);
  assert.deepEqual([here.parts[1].max, here.parts[1].value, here.textContent], [10, 3, "Reading the codes…"]);
  delete /** @type {any} */ (globalThis).document;
});

test("where the server is gone the page says so, and waits no longer", async () => {
  const here = place();
  const found = await ready(here, async () => { throw new Error("no such place"); });
  assert.equal(found, false);
  assert.match(here.textContent, /no such place/);
});
