// @ts-check
/** The connection to the kernel of a notebook: by messages of the widget, in place of a socket. */

import { createLink } from "../link.js";

/** @typedef {import("../link.js").Link} Link */
/** @typedef {{send: (message: object) => void, get: (name: string) => any,
 *   on: (name: string, heard: (...given: any[]) => void) => void,
 *   off: (name: string, heard: (...given: any[]) => void) => void}} Model the widget, as its views see it */
/** @typedef {{a: number[] | null, b: number[] | null}} Ends points with all their coordinates */

/** @typedef {Link & {tell: (message: object) => void}} KernelLink a link, and what else is told to Python */

/** Link a view to the kernel.
 *
 * A widget may be shown in several cells, and every message reaches all of them: each view has a name,
 * by which it knows its own.
 * @param {Model} model
 * @param {{view?: string, moved: (ends: Ends) => void}} options hears of points that Python moved
 * @returns {KernelLink} */
export function linkToKernel(model, { view = String(Math.random()), moved }) {
  /** @type {Map<number, {resolve: (answer: Response) => void, reject: (error: Error) => void}>} */
  const reads = new Map();
  let lastRead = 0;
  /** @type {any} */
  let socket = null;
  const tell = (/** @type {object} */ message) => model.send({ view, ...message });

  /** @param {any} message @param {DataView[]} buffers */
  const hear = (message, buffers) => {
    if (message.view !== null && message.view !== view) return;
    if (message.moved) moved(message.moved);
    if (message.answer) socket?.onmessage({ data: message.answer });
    const read = reads.get(message.read);
    if (!read) return;
    reads.delete(message.read);
    if (message.trouble) read.reject(new Error(message.trouble));
    else read.resolve(new Response(new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength)));
  };
  model.on("msg:custom", hear);

  const open = () => {
    const made = socket = {
      send: (/** @type {string} */ request) => tell({ request }), close() {},
      onopen: null, onmessage: null, onclose: null, onerror: null,
    };
    queueMicrotask(() => /** @type {any} */ (made).onopen());
    return made;
  };
  /** @param {string} path @returns {Promise<Response>} */
  const fetcher = (path) => new Promise((resolve, reject) => {
    reads.set(++lastRead, { resolve, reject });
    tell({ read: lastRead, path });
  });
  const link = createLink({ open, fetcher });
  return {
    ...link,
    tell,
    close() {
      link.close();
      model.off("msg:custom", hear);
      tell({ closed: true });
    },
  };
}
