// @ts-check
/** The connection to what answers: requests by id, the newest of a kind only, over lost sockets.
 *
 * Of each type one request is under way at most. What is asked meanwhile waits, and a newer one takes
 * its place: its promise gives null. A socket that is lost is opened again after growing waits, and
 * what was under way is asked again, so nothing is lost.
 */

/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./view.js").Box} Box */
/** @typedef {{name: string, kind: "category" | "number", values?: (number | null)[],
 *   labels?: string[]}} Column */
/** @typedef {{name: string, title: string, unit: string, scale?: string, kind?: string}} LayerName */
/** @typedef {{title: string, n: number, d: number, axes: import("./planes.js").Axes, names?: string[], box: Box,
 *   outline?: Point[] | null, origin?: number[], basis?: number[][], words?: string[],
 *   columns: Column[], image: [number, number] | null, features: string[] | null,
 *   layers: LayerName[], balls?: boolean, alone?: string, version: string}} Scene `alone` says
 *   what a page without Python leaves out. */
/** @typedef {{shape?: number[], data?: string, values?: number[][], names?: string[]}} Strip */
/** @typedef {{certified: boolean, status: string, words: string[], more?: string,
 *   geodesic: {points: Point[], length: number | null}, straight: {length: number | null},
 *   images: {geodesic: Strip, straight: Strip} | null,
 *   steps: {geodesic: (number | null)[], straight: (number | null)[]}}} Path `more` is what to ask
 *   when the points rest: its answer takes the place of parts of this one. */
/** @typedef {{name: string, box: Box, shape: [number, number], data: string, low: number,
 *   high: number, unit: string, scale?: string, outline?: Point[] | null, values: Float32Array}} Layer */
/** @typedef {{state: "connecting" | "open" | "waiting" | "refused", seconds: number, words: string}}
 *   Status */
/** @typedef {{ask: (type: string, body?: object) => Promise<any>,
 *   get: (path: string) => Promise<Response>,
 *   onStatus: (listener: (status: Status) => void) => void, close: () => void}} Link */
/** @typedef {{type: string, id: number, body: object, resolve: (answer: any) => void,
 *   reject: (error: Error) => void}} Request */
/** @typedef {{send: (text: string) => void, close: () => void, onopen: any, onmessage: any,
 *   onclose: any, onerror: any}} Socket */

/** Seconds to wait before each attempt: quick at first, for a laptop that wakes, and then patient. */
export const WAITS = [0.3, 1, 2, 4, 8, 15];

/** The code of a socket that the server closes because of its token: no use to try again. */
const WRONG_TOKEN = 4401;

/** Connect, and stay connected.
 * @param {{open: () => Socket, fetcher: (path: string) => Promise<Response>,
 *   later?: (run: () => void, seconds: number) => unknown}} to
 * @returns {Link} */
export function createLink({ open, fetcher, later = (run, s) => setTimeout(run, 1000 * s) }) {
  /** @type {Map<string, Request>} */
  const flying = new Map();
  /** @type {Map<string, Request>} */
  const waiting = new Map();
  /** @type {((status: Status) => void)[]} */
  const listeners = [];
  /** @type {Socket | null} */
  let socket = null;
  let isOpen = false;
  let isClosed = false;
  let attempts = 0;
  let lastId = 0;
  /** @type {Status} */
  let status = { state: "connecting", seconds: 0, words: "" };
  let said = ""; // by the server, of no request: why it closes the socket

  /** @param {Status["state"]} state @param {number} seconds */
  function tell(state, seconds = 0) {
    status = { state, seconds, words: said };
    for (const listener of listeners) listener(status);
  }

  /** @param {Request} request */
  function send(request) {
    request.id = ++lastId;
    flying.set(request.type, request);
    const { id, type, body } = request;
    if (isOpen) socket?.send(JSON.stringify({ id, type, ...body }));
  }

  /** @param {string} type */
  function sendNext(type) {
    const next = waiting.get(type);
    waiting.delete(type);
    if (next) send(next);
  }

  /** @param {string} text */
  function receive(text) {
    const answer = JSON.parse(text);
    if (answer.type === "error" && answer.id === null) said = answer.message;
    const request = [...flying.values()].find(({ id }) => id === answer.id);
    if (!request) return; // of a socket before this one, or of nothing that was asked
    flying.delete(request.type);
    sendNext(request.type);
    if (answer.type === "error") request.reject(new Error(answer.message));
    else request.resolve(answer.dropped ? null : answer);
  }

  function askAgain() {
    for (const request of [...flying.values()]) {
      flying.delete(request.type);
      if (waiting.has(request.type)) request.resolve(null);
      else waiting.set(request.type, request);
    }
    for (const type of [...waiting.keys()]) sendNext(type);
  }

  function connect() {
    if (isClosed) return;
    tell("connecting");
    const mine = open();
    socket = mine;
    mine.onopen = () => {
      isOpen = true;
      attempts = 0;
      said = "";
      tell("open");
      askAgain();
    };
    mine.onmessage = (/** @type {{data: string}} */ event) => receive(event.data);
    mine.onclose = (/** @type {{code?: number} | undefined} */ event) => {
      if (socket !== mine || isClosed) return;
      socket = null;
      isOpen = false;
      if (event?.code === WRONG_TOKEN) return tell("refused");
      const seconds = WAITS[Math.min(attempts++, WAITS.length - 1)];
      tell("waiting", seconds);
      later(connect, seconds);
    };
  }

  connect();
  return {
    ask(type, body = {}) {
      return new Promise((resolve, reject) => {
        const request = { type, id: 0, body, resolve, reject };
        if (!flying.has(type)) return send(request);
        waiting.get(type)?.resolve(null);
        waiting.set(type, request);
      });
    },
    get: fetcher,
    onStatus(listener) {
      listeners.push(listener);
      listener(status);
    },
    close() {
      isClosed = true;
      socket?.close();
    },
  };
}

/** The token of this page, kept over reloads. */
function tokenOf() {
  const given = new URLSearchParams(location.search).get("token");
  if (given) sessionStorage.setItem("token", given);
  return given ?? sessionStorage.getItem("token") ?? "";
}

/** What gets files from the server that this page came from.
 * @returns {(path: string) => Promise<Response>} */
export function fetcher() {
  const token = tokenOf();
  return async (path) => {
    const answer = await fetch(path, { headers: { "X-Token": token }, cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()) || `${answer.status} for ${path}`);
    return answer;
  };
}

/** The link to the server that this page came from.
 * @returns {Link} */
export function linkToServer() {
  const token = tokenOf();
  const address = new URL("live", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams({ token }).toString();
  return createLink({ open: () => new WebSocket(address), fetcher: fetcher() });
}

/** The bytes of a base64 text.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>} */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
