// @ts-check
/** What is asked of the link as the state changes, and where the answers go. */

import { readLayer } from "./layers.js";
import { bytesOf } from "./link.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./state.js").Store<State>} Store */

/** Images on each strip, as many as one takes in and a phone has room for. */
const N_IMAGES = 9;
/** Geodesics of a fan: enough to see where they part, and few enough to see each. */
const N_RAYS = 24;
/** Neighbours that are shown of a sample. */
const N_NEIGHBORS = 10;
/** Milliseconds without a move after which more is asked of a path: a hand that drags moves sooner. */
const REST = 100;
/** Points on each side of a layer: smooth between them, and quick where each needs the decoder. */
const RESOLUTION = 128;

/** What went wrong, in words.
 * @param {unknown} error
 * @returns {string} */
export function words(error) {
  return error instanceof Error ? error.message : String(error);
}

/** A path as it came, with what could not be measured left out.
 * @param {any} answer
 * @returns {import("./link.js").Path} */
export function readPath(answer) {
  const points = (answer.geodesic.points ?? []).filter(Boolean);
  return { ...answer, words: answer.words ?? [], geodesic: { ...answer.geodesic, points } };
}

/** The pieces of curves: a curve may come in several, where it leaves what is known.
 * @param {any[]} curves of points, or of pieces
 * @returns {Point[][]} */
export function piecesOf(curves) {
  return curves.flatMap((curve) => (Array.isArray(curve[0]?.[0]) ? curve : [curve]));
}

/** Ask for what follows the handles whenever they move.
 * @param {Store} store
 * @param {Link} link */
export function follow(store, link) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const askPath = async () => {
    const { scene, a, b } = store.get();
    clearTimeout(timer);
    if (!scene || a === b) return;
    const isLast = () => store.get().a === a && store.get().b === b;
    store.set({ pending: true });
    try {
      const path = await link.ask("path", { a, b, n_images: N_IMAGES });
      if (!path) return; // a newer one is on its way
      store.set({ path: readPath(path), trouble: "", pending: !isLast() });
      if (path.more && isLast()) timer = setTimeout(() => void askMore(path, isLast), REST);
    } catch (error) {
      if (isLast()) store.set({ path: null, trouble: words(error), pending: false });
    }
  };
  /** @param {any} path @param {() => boolean} isLast */
  const askMore = async ({ a, b, ...path }, isLast) => {
    try {
      const more = await link.ask(path.more, { a, b });
      if (!more || !isLast()) return;
      const geodesic = { ...path.geodesic, ...more.geodesic };
      store.set({ path: readPath({ ...path, ...more, geodesic }) });
    } catch (error) {
      if (isLast()) store.set({ trouble: words(error) });
    }
  };
  store.on(["a", "b", "scene"], () => void askPath());
  store.on(["a", "b", "active", "path", "wants"], (state) => void askAround(store, link, state));
}

/** @param {Store} store @param {Link} link @param {State} state */
async function askAround(store, link, { wants, active, a, b, path }) {
  const point = active === "a" ? a : b;
  const far = path?.geodesic.length ?? 0;
  /** @param {"balls" | "fan"} what @param {string} type @param {object} body */
  const ask = async (what, type, body) => {
    if (!wants[what] || !far) {
      if (store.get()[what].length) store.set({ [what]: [] });
      return;
    }
    try {
      const answer = await link.ask(type, { point, ...body });
      if (!answer || !store.get().wants[what]) return;
      store.set({ [what]: piecesOf(answer.curves), around: [answer.words ?? []].flat().join(" ") });
    } catch (error) {
      store.set({ [what]: [], around: words(error) });
    }
  };
  const radii = [1, 2, 3, 4].map((quarter) => (quarter * far) / 4);
  await Promise.all([
    ask("balls", "ball", { radii }),
    ask("fan", "fan", { n: N_RAYS, length: far }),
  ]);
}

/** Ask for layers; each is asked once for a plane, and kept.
 * @param {Store} store
 * @param {Link} link
 * @returns {(name: string, again?: boolean) => Promise<void>} show the layer of that name, or none;
 *   again where what it shows has changed */
export function layersOf(store, link) {
  /** @type {Map<string, import("./link.js").Layer>} */
  const kept = new Map();
  return async (name, again = false) => {
    const axes = String(store.get().scene?.axes);
    const key = `${axes}:${name}`;
    if (again) kept.delete(key);
    store.set({ layerName: name, layer: kept.get(key) ?? null });
    if (!name || kept.has(key)) return;
    const answer = await link.ask("layer", { name, resolution: RESOLUTION });
    if (!answer) return;
    const layer = readLayer({ ...answer, scale: answer.scale ?? scaleOf(store.get().scene, name) });
    kept.set(key, layer);
    if (store.get().layerName === name && String(store.get().scene?.axes) === axes) store.set({ layer });
  };
}

/** Which colours a layer has: those of classes, those about 0, or those of plain numbers.
 * @param {import("./link.js").Scene | null} scene
 * @param {string} name
 * @returns {string} */
export function scaleOf(scene, name) {
  const layer = scene?.layers.find((one) => one.name === name);
  if (layer?.scale) return layer.scale;
  if (layer?.kind === "category") return "category";
  return name === "curvature" ? "diverging" : "sequential";
}

/** Ask for the column of that name, as the codes are coloured by it.
 * @param {Store} store
 * @param {Link} link
 * @param {string} name
 * @returns {Promise<import("./state.js").Colouring | null>} */
export async function columnOf(store, link, name) {
  const column = store.get().scene?.columns.find((one) => one.name === name);
  if (!column) return null;
  const values = column.values
    ?? (await (await link.get(`column?name=${encodeURIComponent(name)}`)).json()).values;
  column.values = values;
  return { name, kind: column.kind, values, labels: (column.labels ?? []).map(String) };
}

/** Ask for clusters, and colour the codes by them.
 * @param {Store} store
 * @param {Link} link
 * @param {number} k
 * @param {"geodesic" | "euclidean"} distance
 * @returns {Promise<string>} what there is to say of them */
export async function cluster(store, link, k, distance) {
  const answer = await link.ask("clusters", { k, distance });
  if (!answer) return "";
  const values = Array.from(bytesOf(answer.labels), (label) => (label === 255 ? null : label));
  const labels = answer.centers.map((/** @type {Point} */ _, /** @type {number} */ i) => `cluster ${i + 1}`);
  const name = `${k} clusters by ${distance === "geodesic" ? "geodesics" : "straight lines"}`;
  store.set({ colouring: { name, kind: "category", values, labels }, centers: answer.centers });
  return Array.isArray(answer.words) ? answer.words.join(" ") : (answer.words ?? "");
}

/** Ask for samples, keeping those that came.
 * @param {Link} link
 * @returns {(index: number) => Promise<any>} the answer, or null if another was asked for since */
export function samplesOf(link) {
  /** @type {Map<number, any>} */
  const kept = new Map();
  return async (index) => {
    if (!kept.has(index)) {
      const answer = await link.ask("sample", { index });
      if (!answer) return null;
      kept.set(index, answer);
    }
    return kept.get(index);
  };
}

/** Ask for the neighbours of the chosen sample, or show none.
 * @param {Store} store
 * @param {Link} link */
export async function askNeighbors(store, link) {
  const { sample: index, wants } = store.get();
  if (index === null || !wants.neighbors) return store.set({ neighbors: [] });
  const k = Math.max(1, Math.min(N_NEIGHBORS, store.get().codes.length / 2 - 1));
  const answer = await link.ask("neighbors", { index, k, distance: wants.neighbors });
  if (answer && store.get().sample === index) store.set({ neighbors: answer.indices });
}
