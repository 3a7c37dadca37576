// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { linkToKernel } from "../../../src/pullback/explorer/page/notebook/link.js";
import { foot, lifted } from "../../../src/pullback/explorer/page/planes.js";

/** A widget whose messages are kept, and what it hears. */
function bench() {
  /** @type {any[]} */
  const sent = [];
  /** @type {((message: any, buffers: any[]) => void)[]} */
  let listeners = [];
  /** @type {any[]} */
  const moved = [];
  const model = {
    send: (/** @type {any} */ message) => void sent.push(message),
    get: () => null,
    on: (/** @type {string} */ _, /** @type {any} */ heard) => void listeners.push(heard),
    off: (/** @type {string} */ _, /** @type {any} */ heard) =>
      void (listeners = listeners.filter((one) => one !== heard)),
  };
  const link = linkToKernel(model, { view: "mine", moved: (ends) => void moved.push(ends) });
  const say = (/** @type {any} */ message, /** @type {any[]} */ buffers = []) =>
    listeners.forEach((heard) => heard(message, buffers));
  return { link, sent, moved, say, count: () => listeners.length };
}

test("a request goes to the kernel with the name of the view, and its answer comes back", async () => {
  const { link, sent, say } = bench();
  const asked = link.ask("sample", { index: 3 });
  await Promise.resolve(); // the link opens of itself
  const { view, request } = sent[0];
  const { id, ...rest } = JSON.parse(request);
  assert.equal(view, "mine");
  assert.deepEqual(rest, { type: "sample", index: 3 });
  say({ view: "another", answer: JSON.stringify({ id, type: "sample", columns: "theirs" }) });
  say({ view: "mine", answer: JSON.stringify({ id, type: "sample", columns: "mine" }) });
  assert.equal((await asked).columns, "mine");
});

test("what is read comes as bytes, which may be a part of what the message holds", async () => {
  const { link, sent, say } = bench();
  const asked = link.get("codes?axes=0,1");
  assert.deepEqual(sent.at(-1), { view: "mine", read: 1, path: "codes?axes=0,1" });
  const whole = new Uint8Array([9, 9, 1, 2, 3, 9]);
  say({ view: "mine", read: 1 }, [new DataView(whole.buffer, 2, 3)]);
  assert.deepEqual([...new Uint8Array(await (await asked).arrayBuffer())], [1, 2, 3]);
});

test("what cannot be read is an error in the words of Python", async () => {
  const { link, say } = bench();
  const asked = link.get("column?name=none");
  say({ view: "mine", read: 1, trouble: "`name` must be the name of a column" });
  await assert.rejects(asked, /name of a column/);
});

test("points that Python moved are heard of by all views, or by one", () => {
  const { moved, say } = bench();
  say({ view: null, moved: { a: [1, 2], b: null } });
  say({ view: "another", moved: { a: [5, 5], b: null } });
  say({ view: "mine", moved: { a: null, b: [3, 4] } });
  assert.deepEqual(moved, [{ a: [1, 2], b: null }, { a: null, b: [3, 4] }]);
});

test("a view that is closed says so, and hears nothing any more", () => {
  const { link, sent, count } = bench();
  assert.equal(count(), 1);
  link.close();
  assert.equal(count(), 0);
  assert.deepEqual(sent.at(-1), { view: "mine", closed: true });
});

test("the foot of a point on a plane that leans is where the rest stands upright on it", () => {
  const scene = /** @type {any} */ ({ d: 3, origin: [1, 0, -1], basis: [[1, 1, 0], [0, 1, 2]] });
  const point = lifted(scene, [0.5, -2]);
  const back = foot(scene, point);
  assert.ok(Math.hypot(back[0] - 0.5, back[1] + 2) < 1e-12);
  const upright = [2, -2, 1]; // at right angles to both
  const above = foot(scene, point.map((x, k) => x + upright[k]));
  assert.ok(Math.hypot(above[0] - 0.5, above[1] + 2) < 1e-12);
  assert.deepEqual(foot(/** @type {any} */ ({ d: 2 }), [3, 4]), [3, 4]);
});
