// @ts-check
/** The plane on the screen: its canvases kept in size, and drawn once a frame when something changed. */

import { createCloud, sizeOf } from "./codes.js";
import { paint, rgb } from "./colours.js";
import { createCurves } from "./curves.js";
import { createHeat } from "./layers.js";
import { onceAFrame } from "./state.js";
import { boxOf, fit, resized } from "./view.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Store<State>} Store */

/** As much of the legend as the margin has room for, in pixels. */
const ONE_ROW = 36;

/** How far one may come nearer than where all codes are shown, and go away from there. */
const [NEAREST, FARTHEST] = [400, 0.2];

/** Show the state on the plane.
 * @param {Store} store
 * @param {HTMLElement} plane
 * @param {(state: State) => void} placeHandles
 * @returns {{paint: () => Uint8Array, pictures: () => {heat: string, points: string}, radius: () =>
 *   number, limits: () => [number, number], whole: () => void, nearer: () => number}} */
export function createScenery(store, plane, placeHandles) {
  const canvas = (/** @type {string} */ id) =>
    /** @type {HTMLCanvasElement} */ (plane.querySelector(id));
  const legend = /** @type {HTMLElement} */ (plane.querySelector("#legend"));
  /** @type {import("./view.js").Box | null} */
  let box = null;
  const whole = () => {
    const { size, view } = store.get();
    if (!box) return view;
    const above = Math.max(0, legend.offsetHeight - ONE_ROW); // a tall legend is not to hide codes
    const found = fit(box, size[0], size[1] - above, 56);
    return { ...found, y: found.y + above };
  };
  /** The view that shows all codes, as long as nobody has moved it. @type {import("./view.js").View | null} */
  let untouched = null;
  const showWhole = () => {
    untouched = whole();
    store.set({ view: untouched });
  };
  const nearer = () => store.get().view.scale / whole().scale;
  const style = (/** @type {string} */ name) => getComputedStyle(plane).getPropertyValue(name).trim();
  const cloud = createCloud(canvas("#codes"), nearer);
  const drawHeat = createHeat(canvas("#heat"), () => style("--page"));
  const curves = createCurves(/** @type {any} */ (plane.querySelector("#curves")));
  /** @type {Uint8Array} */
  let painted = new Uint8Array(0);

  /** A card's colour, as the style sheet says it. @returns {[number, number, number]} */
  const paper = () => rgb(style("--card"));
  const codes = onceAFrame(() => cloud.draw(store.get().view, store.get().size, paper()));
  const heat = onceAFrame(() => {
    const { layer, theme, view, size } = store.get();
    drawHeat(layer, theme, view, size);
  });
  const lines = onceAFrame(() => {
    curves.curves(store.get());
    curves.frame(store.get());
    placeHandles(store.get());
    plane.classList.toggle("pending", isSlow);
  });

  // A geodesic of before is faded only where the new one is slow: else it would flicker.
  let isSlow = false;
  let timer = 0;
  store.on(["pending"], ({ pending }) => {
    clearTimeout(timer);
    if (pending) timer = window.setTimeout(() => { isSlow = true; lines(); }, 250);
    else { isSlow = false; lines(); }
  });
  store.on(["codes"], (state) => {
    box = boxOf(state.codes);
    cloud.setCodes(state.codes);
  });
  store.on(["codes", "colouring"], ({ codes: all, colouring }) => {
    painted = colouring ? paint(colouring.kind, colouring.values) : new Uint8Array(2 * all.length).fill(140);
    if (!colouring) for (let i = 3; i < painted.length; i += 4) painted[i] = 0;
    cloud.setPaint(painted);
  });
  store.on(["codes", "colouring", "view", "size", "theme"], codes);
  store.on(["layer", "view", "size", "theme"], heat);
  store.on(
    ["a", "b", "active", "path", "balls", "fan", "kept", "view", "size", "neighbors", "sample",
      "centers", "scene", "codes"],
    lines,
  );

  const measure = () => {
    const [width, height] = [plane.clientWidth, plane.clientHeight];
    const { size, view, scene } = store.get();
    if (!width || !height || (width === size[0] && height === size[1])) return;
    for (const each of plane.querySelectorAll(":scope > canvas")) {
      const one = /** @type {HTMLCanvasElement} */ (each);
      one.width = Math.round(width * devicePixelRatio);
      one.height = Math.round(height * devicePixelRatio);
    }
    const next = scene && size[0] > 1 ? resized(view, size, [width, height]) : view;
    store.set({ size: [width, height], view: next });
    if (view === untouched) showWhole();
  };
  new ResizeObserver(measure).observe(plane);
  measure();
  return {
    paint: () => painted,
    pictures: () => ({
      heat: store.get().layer ? canvas("#heat").toDataURL() : "",
      points: canvas("#codes").toDataURL(),
    }),
    radius: () => sizeOf(store.get().codes.length / 2, nearer()) / 2.2,
    limits: () => [FARTHEST * whole().scale, NEAREST * whole().scale],
    whole: showWhole,
    nearer,
  };
}
