// @ts-check
/** What the page shows, in one place: parts set it, and listen to what they draw. */

/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./view.js").Box} Box */
/** @typedef {import("./link.js").Scene} Scene */
/** @typedef {import("./link.js").Path} Path */
/** @typedef {import("./link.js").Layer} Layer */
/** @typedef {{name: string, kind: "category" | "number", values: ArrayLike<number | null>,
 *   labels: string[]}} Colouring How the codes are coloured. */
/** @typedef {{key: number, a: number[], b: number[], axes: import("./planes.js").Axes, names: string[], points: Point[],
 *   length: number | null, straight: number | null, badge: string,
 *   certified: boolean, status: string}} Kept A kept path. */
/** @typedef {{
 *   scene: Scene | null,
 *   codes: Float32Array,
 *   colouring: Colouring | null,
 *   layer: Layer | null,
 *   layerName: string,
 *   a: Point,
 *   b: Point,
 *   active: "a" | "b",
 *   path: Path | null,
 *   pending: boolean,
 *   trouble: string,
 *   around: string,
 *   notice: string,
 *   balls: Point[][],
 *   fan: Point[][],
 *   centers: Point[],
 *   neighbors: number[],
 *   sample: number | null,
 *   wants: {balls: boolean, fan: boolean, neighbors: "" | "geodesic" | "euclidean"},
 *   kept: Kept[],
 *   view: import("./view.js").View,
 *   size: [number, number],
 *   theme: import("./colours.js").Theme,
 *   connection: string,
 * }} State */

/**
 * @template {object} S
 * @typedef {{
 *   get: () => Readonly<S>,
 *   set: (patch: Partial<S>) => void,
 *   on: (keys: (keyof S)[], listener: (state: Readonly<S>) => void) => () => void,
 * }} Store */

/** Where both points are before it is known where they begin: the very same point, which no hand makes
 * of two. Nothing is asked of it.
 * @type {Point} */
export const NOWHERE = [0, 0];

/** A page before anything is known.
 * @returns {State} */
export function blank() {
  return {
    scene: null,
    codes: new Float32Array(0),
    colouring: null,
    layer: null,
    layerName: "",
    a: NOWHERE,
    b: NOWHERE,
    active: "b",
    path: null,
    pending: false,
    trouble: "",
    around: "",
    notice: "",
    balls: [],
    fan: [],
    centers: [],
    neighbors: [],
    sample: null,
    wants: { balls: false, fan: false, neighbors: "" },
    kept: [],
    view: { scale: 1, x: 0, y: 0 },
    size: [1, 1],
    theme: "light",
    connection: "",
  };
}

/** A store: `set` tells those who listen to a key that it changed, each once, after all is set.
 * @template {object} S
 * @param {S} initial
 * @returns {Store<S>} */
export function createStore(initial) {
  let state = { ...initial };
  /** @type {Set<{keys: (keyof S)[], listener: (state: Readonly<S>) => void}>} */
  const listeners = new Set();
  return {
    get: () => state,
    set(patch) {
      const keys = /** @type {(keyof S)[]} */ (Object.keys(patch));
      const changed = keys.filter((key) => !Object.is(state[key], patch[key]));
      if (!changed.length) return;
      state = { ...state, ...patch };
      for (const entry of [...listeners]) {
        if (listeners.has(entry) && entry.keys.some((key) => changed.includes(key))) {
          entry.listener(state);
        }
      }
    },
    on(keys, listener) {
      const entry = { keys, listener };
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
  };
}

/** Run a function before the next frame, once, however often it is asked for until then.
 * @param {() => void} draw
 * @param {(run: () => void) => void} next
 * @returns {() => void} */
export function onceAFrame(draw, next = (run) => void requestAnimationFrame(run)) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    next(() => {
      due = false;
      draw();
    });
  };
}

/** Keep a part of the state over reloads of the tab, or longer; what cannot be kept is forgotten.
 * @param {string} key
 * @param {unknown} value
 * @param {() => Storage} place */
export function remember(key, value, place = () => sessionStorage) {
  try {
    place().setItem(key, JSON.stringify(value));
  } catch {
    // A private window, a frame without a place of its own, or no room: the page works without.
  }
}

/** What was kept under a key, or null.
 * @param {string} key
 * @param {() => Storage} place
 * @returns {any} */
export function recall(key, place = () => sessionStorage) {
  try {
    return JSON.parse(place().getItem(key) ?? "null");
  } catch {
    return null;
  }
}
