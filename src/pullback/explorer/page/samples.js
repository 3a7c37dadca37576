// @ts-check
/** The sample under the pointer, and the one that was tapped. */

import { samplesOf, words } from "./asking.js";
import { writeColumns } from "./controls.js";
import { within } from "./handles.js";
import { nearestIn } from "./nearest.js";
import { drawPicture, picturesOf } from "./strips.js";
import { toData, toScreen } from "./view.js";

/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./state.js").State} State */

/** How near to a code the pointer has to be, in pixels; a finger is less exact. */
const [NEAR, TAPPED] = [12, 14];

/** Write a sample into a place that has a canvas and a list.
 * @param {HTMLElement} place @param {any} sample */
function write(place, sample) {
  const canvas = /** @type {HTMLCanvasElement} */ (place.querySelector("canvas"));
  const strip = sample.strip;
  canvas.hidden = !strip?.data;
  if (strip?.data) {
    const { width, height, pictures } = picturesOf(strip);
    drawPicture(canvas, pictures[0], width, height);
  }
  const named = /** @type {[string, number][]} */ ((strip?.values?.[0] ?? []).map(
    (/** @type {number} */ v, /** @type {number} */ j) => [strip.names?.[j] ?? `x${j + 1}`, v]));
  const columns = { ...sample.columns, ...Object.fromEntries(named.slice(0, 8)) };
  writeColumns(/** @type {HTMLElement} */ (place.querySelector("dl")), columns);
}

/** What taps on the plane and the hovering pointer do.
 * @param {import("./state.js").Store<State>} store
 * @param {import("./link.js").Link} link
 * @param {(id: string) => any} the
 * @returns {{tap: (point: Point, pixel: Point) => void, hover: (pixel: Point | null) => void}} */
export function createSamples(store, link, the) {
  let nearest = nearestIn(new Float32Array(0));
  store.on(["codes"], ({ codes }) => void (nearest = nearestIn(codes)));
  const sampleOf = samplesOf(link);
  const ask = (/** @type {number} */ index) => sampleOf(index).catch((error) => ({ columns: { "": words(error) } }));
  /** @type {number | null} */
  let hovered = null;

  const codeOf = (/** @type {number} */ i) => {
    const { codes } = store.get();
    return /** @type {Point} */ ([codes[2 * i], codes[2 * i + 1]]);
  };
  return {
    async hover(pixel) {
      const { view, size } = store.get();
      const index = pixel && nearest(toData(view, pixel), NEAR / view.scale);
      if (index === hovered && index !== null) return;
      hovered = index;
      if (index === null) return void (the("tip").hidden = true);
      const sample = await ask(index);
      if (!sample || hovered !== index) return;
      const [x, y] = toScreen(store.get().view, codeOf(index));
      write(the("tip"), sample);
      the("tip").hidden = false;
      const { offsetWidth: width, offsetHeight: height } = the("tip");
      const left = x + 16 + width > size[0] ? x - 16 - width : x + 16;
      const top = Math.min(Math.max(y - height / 2, 6), size[1] - height - 6);
      the("tip").style.transform = `translate(${Math.max(left, 6)}px, ${top}px)`;
    },
    async tap(point) {
      const { view, active, scene } = store.get();
      const index = nearest(point, TAPPED / view.scale);
      store.set({ [active]: within(index === null ? point : codeOf(index), scene), sample: index });
      the("sample").hidden = index === null;
      if (index === null) return;
      const sample = await ask(index);
      if (!sample || store.get().sample !== index) return;
      the("sample-title").textContent = `Sample ${index}`;
      write(the("sample"), sample);
    },
  };
}
