// @ts-check
/** The link to what answers inside of this page: a worker made of its own text. */

import { bytesOf, createLink } from "../link.js";
import { singles } from "./packed.js";

/** @typedef {import("../link.js").Link} Link */
/** @typedef {import("../link.js").Socket} Socket */
/** @typedef {{scene: import("../link.js").Scene, codes: string, columns: Record<string, string>}} Shown
 *   what is shown: codes and the values of columns as base64 of their bytes, single precision */

/** A worker as a socket.
 * @param {Worker} worker
 * @returns {Socket} */
export function socketOf(worker) {
  /** @type {Socket} */
  const socket = {
    send: (text) => worker.postMessage(text),
    close: () => worker.terminate(),
    onopen: null,
    onmessage: null,
    onclose: null,
    onerror: null,
  };
  worker.onmessage = (event) => socket.onmessage(event);
  queueMicrotask(() => socket.onopen());
  return socket;
}

/** What a server sends for an address of the page, from what the page holds.
 * @param {Shown} shown @param {string} address
 * @returns {Response} */
export function fetched({ scene, codes, columns }, address) {
  const [path, query = ""] = address.split("?");
  const json = (/** @type {object} */ body) => new Response(JSON.stringify(body));
  if (path === "scene") return json(scene);
  if (path === "codes") return new Response(bytesOf(codes));
  const numbers = singles(columns[new URLSearchParams(query).get("name") ?? ""]);
  return json({ values: Array.from(numbers, (u) => (Number.isNaN(u) ? null : u)) });
}

/** The link of a page that stands alone.
 * @param {string} content the text of what the page holds
 * @param {string} source the text of the worker
 * @returns {Link} */
export function linkInside(content, source) {
  /** @type {Shown} */
  const shown = JSON.parse(content);
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.postMessage(content);
  return createLink({ open: () => socketOf(worker), fetcher: async (path) => fetched(shown, path) });
}
