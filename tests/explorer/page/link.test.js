// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { WAITS, bytesOf, createLink } from "../../../src/pullback/explorer/page/link.js";

/** A link over sockets that do nothing of themselves, and a clock that is moved by hand. */
function bench() {
  /** @type {any[]} */
  const sockets = [];
  /** @type {{run: () => void, seconds: number}[]} */
  const later = [];
  const link = createLink({
    open() {
      const socket = {
        /** @type {any[]} */ sent: [],
        /** @param {string} text */ send: (text) => void socket.sent.push(JSON.parse(text)),
        close: () => socket.onclose?.(),
        /** @type {any} */ onopen: null,
        /** @type {any} */ onmessage: null,
        /** @type {any} */ onclose: null,
        /** @type {any} */ onerror: null,
        answer: (/** @type {object} */ body) => socket.onmessage({ data: JSON.stringify(body) }),
      };
      sockets.push(socket);
      return socket;
    },
    fetcher: async () => new Response("{}"),
    later: (run, seconds) => later.push({ run, seconds }),
  });
  return { link, sockets, later, last: () => sockets[sockets.length - 1] };
}

test("a request waits for the socket, and its answer is that of its id", async () => {
  const { link, last } = bench();
  const asked = link.ask("sample", { index: 3 });
  assert.deepEqual(last().sent, []);
  last().onopen();
  const [{ id, ...rest }] = last().sent;
  assert.deepEqual(rest, { type: "sample", index: 3 });
  last().answer({ id: id + 99, type: "sample", columns: "of another" });
  last().answer({ id, type: "sample", columns: "mine" });
  assert.equal((await asked).columns, "mine");
});

test("of a drag only the newest waits, and what it replaces gives null", async () => {
  const { link, last } = bench();
  last().onopen();
  const asked = Array.from({ length: 50 }, (_, i) => link.ask("path", { a: [i, 0] }));
  assert.equal(last().sent.length, 1);
  last().answer({ id: last().sent[0].id, type: "path", at: 0 });
  assert.equal(last().sent.length, 2);
  assert.deepEqual(last().sent[1].a, [49, 0]);
  last().answer({ id: last().sent[1].id, type: "path", at: 49 });
  const answers = await Promise.all(asked);
  assert.deepEqual(answers.map((answer) => answer && answer.at), [0, ...Array(48).fill(null), 49]);
  assert.equal(last().sent.length, 2);
  assert.ok(last().sent[1].id > last().sent[0].id);
});

test("requests of different types do not wait for each other", () => {
  const { link, last } = bench();
  last().onopen();
  void link.ask("path");
  void link.ask("layer");
  assert.deepEqual(last().sent.map((/** @type {any} */ one) => one.type), ["path", "layer"]);
});

test("an error is told in its words, and the next request goes on", async () => {
  const { link, last } = bench();
  last().onopen();
  const [bad, good] = [link.ask("path", { a: [99, 0] }), link.ask("path", { a: [0, 0] })];
  last().answer({ id: last().sent[0].id, type: "error", of: "path", message: "lies outside" });
  await assert.rejects(bad, /lies outside/);
  last().answer({ id: last().sent[1].id, type: "path", fine: true });
  assert.ok((await good).fine);
});

test("what the server dropped gives null", async () => {
  const { link, last } = bench();
  last().onopen();
  const asked = link.ask("ball");
  last().answer({ id: last().sent[0].id, type: "ball", dropped: true });
  assert.equal(await asked, null);
});

test("a lost socket is opened again, after waits that grow, and nothing is lost", async () => {
  const { link, sockets, later, last } = bench();
  /** @type {string[]} */
  const said = [];
  link.onStatus(({ state }) => said.push(state));
  last().onopen();
  const layer = link.ask("layer", { name: "volume" });
  const [first, second, third] = [0, 1, 2].map((i) => link.ask("path", { a: [i, 0] }));
  for (let i = 0; i < WAITS.length + 2; i++) {
    last().onclose();
    assert.equal(later[i].seconds, WAITS[Math.min(i, WAITS.length - 1)]);
    later[i].run();
  }
  assert.equal(sockets.length, WAITS.length + 3);
  last().onopen();
  assert.deepEqual(last().sent.map((/** @type {any} */ one) => one.type).sort(), ["layer", "path"]);
  for (const { id, type, a } of last().sent) last().answer({ id, type, a, fine: true });
  assert.ok((await layer).fine);
  assert.deepEqual([await first, await second, (await third).a], [null, null, [2, 0]]);
  assert.deepEqual([said[0], said[1], said[2], said.at(-1)], ["connecting", "open", "waiting", "open"]);
  last().onclose();
  assert.equal(later.at(-1)?.seconds, WAITS[0]); // it had been open: patience begins anew
});

test("an answer of a socket before is of nobody", async () => {
  const { link, sockets, later, last } = bench();
  last().onopen();
  const asked = link.ask("path");
  const { id } = sockets[0].sent[0];
  sockets[0].onclose();
  later[0].run();
  last().onopen();
  assert.notEqual(last().sent[0].id, id);
  sockets[0].answer({ id, type: "path", old: true });
  last().answer({ id: last().sent[0].id, type: "path", old: false });
  assert.equal((await asked).old, false);
});

test("a refused page says why, and does not ask for ever", () => {
  const { link, later, last } = bench();
  /** @type {any} */
  let status;
  link.onStatus((now) => void (status = now));
  last().onopen();
  last().answer({ id: null, type: "error", of: null, message: "needs the token" });
  last().onclose({ code: 4401 });
  assert.deepEqual(status, { state: "refused", seconds: 0, words: "needs the token" });
  assert.equal(later.length, 0);
});

test("a closed link stays closed", () => {
  const { link, sockets, later } = bench();
  link.close();
  assert.deepEqual([sockets.length, later.length], [1, 0]);
});

test("base64 gives its bytes", () => {
  assert.deepEqual([...bytesOf("AP8Qgg==")], [0, 255, 16, 130]);
});
