// @ts-check
/** The two handles and the plane under the hand: drag, tap, arrow keys, pan, pinch and wheel. */

import { panned, shown, toData, toScreen, zoomed } from "./view.js";

/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./state.js").State} State */

/** How far a press may move and still be a tap, in pixels: a finger is never quite still. */
const STILL = 6;

/** The point one step further by an arrow key, or null if the key is none.
 * @param {string} key
 * @param {boolean} large
 * @param {Point} point
 * @param {import("./view.js").Box} box what is shown
 * @returns {Point | null} */
export function stepped(key, large, [x, y], [low, high]) {
  const step = (large ? 0.05 : 0.01) * Math.min(high[0] - low[0], high[1] - low[1]);
  switch (key) {
    case "ArrowLeft": return [x - step, y];
    case "ArrowRight": return [x + step, y];
    case "ArrowUp": return [x, y + step];
    case "ArrowDown": return [x, y - step];
    default: return null;
  }
}

/** The point of what was measured that is nearest to a point: of a box, or of its outline.
 * @param {Point} point
 * @param {Pick<import("./link.js").Scene, "box" | "outline"> | null} scene
 * @returns {Point} */
export function within([x, y], scene) {
  if (!scene) return [x, y];
  if (scene.outline) return inOutline([x, y], scene.outline);
  const [[left, bottom], [right, top]] = scene.box;
  return [Math.min(Math.max(x, left), right), Math.min(Math.max(y, bottom), top)];
}

/** The point of a convex polygon that is nearest to a point.
 * @param {Point} point
 * @param {Point[]} corners counter-clockwise
 * @returns {Point} */
function inOutline([x, y], corners) {
  let [best, least, isInside] = [/** @type {Point} */ ([x, y]), Infinity, true];
  corners.forEach(([u, v], i) => {
    const [s, t] = corners[(i + 1) % corners.length];
    const [du, dv] = [s - u, t - v];
    if (du * (y - v) - dv * (x - u) < 0) isInside = false;
    const along = ((x - u) * du + (y - v) * dv) / (du * du + dv * dv || 1);
    const share = Math.min(Math.max(along, 0), 1);
    const [p, q] = [u + share * du, v + share * dv];
    const far = Math.hypot(x - p, y - q);
    if (far < least) [best, least] = [[p, q], far];
  });
  return isInside ? [x, y] : best;
}

/** Let the handles be moved.
 * @param {{a: HTMLElement, b: HTMLElement}} buttons
 * @param {HTMLElement} plane
 * @param {import("./state.js").Store<State>} store
 * @returns {(state: State) => void} what puts the buttons where the points are */
export function createHandles(buttons, plane, store) {
  const pixelOf = (/** @type {PointerEvent} */ event) => {
    const { left, top } = plane.getBoundingClientRect();
    return /** @type {Point} */ ([event.clientX - left, event.clientY - top]);
  };
  for (const name of /** @type {("a" | "b")[]} */ (["a", "b"])) {
    const button = buttons[name];
    /** @type {Point | null} from the pixel of the pointer to that of the point */
    let grip = null;
    button.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const [[x, y], [u, v]] = [pixelOf(event), toScreen(store.get().view, store.get()[name])];
      grip = [u - x, v - y];
      button.setPointerCapture(event.pointerId);
      store.set({ active: name });
      event.stopPropagation();
    });
    button.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const [x, y] = pixelOf(event);
      const point = toData(store.get().view, [x + grip[0], y + grip[1]]);
      store.set({ [name]: within(point, store.get().scene) });
    });
    for (const end of ["pointerup", "pointercancel"]) {
      button.addEventListener(end, () => void (grip = null));
    }
    button.addEventListener("keydown", (event) => {
      const { view, size } = store.get();
      const next = stepped(event.key, event.shiftKey, store.get()[name], shown(view, ...size));
      if (!next) return;
      event.preventDefault();
      store.set({ [name]: within(next, store.get().scene), active: name });
    });
    button.addEventListener("focus", () => store.set({ active: name }));
  }
  return (state) => {
    for (const name of /** @type {("a" | "b")[]} */ (["a", "b"])) {
      const [x, y] = toScreen(state.view, state[name]);
      buttons[name].style.transform = `translate(${x}px, ${y}px)`;
      buttons[name].classList.toggle("active", state.active === name);
      const place = state[name].map((u) => u.toFixed(2).replace("-", "minus ")).join(", ");
      buttons[name].setAttribute("aria-valuenow", state[name][0].toPrecision(3));
      buttons[name].setAttribute("aria-valuetext", place);
    }
  };
}

/** Let the plane be moved and enlarged, and tell of taps and of what the pointer hovers over.
 * @param {HTMLElement} plane
 * @param {import("./state.js").Store<State>} store
 * @param {{tap: (point: Point, pixel: Point) => void, hover: (pixel: Point | null) => void,
 *   limits: () => [number, number]}} on */
export function createPlane(plane, store, on) {
  /** @type {Map<number, Point>} */
  const down = new Map();
  let moved = 0;
  const pixelOf = (/** @type {MouseEvent} */ event) => {
    const { left, top } = plane.getBoundingClientRect();
    return /** @type {Point} */ ([event.clientX - left, event.clientY - top]);
  };
  plane.addEventListener("pointerdown", (event) => {
    if (event.button || /** @type {Element} */ (event.target).closest("button, select")) return;
    plane.setPointerCapture(event.pointerId);
    down.set(event.pointerId, pixelOf(event));
    if (down.size === 1) moved = 0;
  });
  plane.addEventListener("pointermove", (event) => {
    const [now, before] = [pixelOf(event), down.get(event.pointerId)];
    if (!before) return on.hover(event.pointerType === "mouse" && event.buttons === 0 ? now : null);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    moved = Math.max(moved, Math.hypot(dx, dy));
    if (moved < STILL) return;
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, now);
    on.hover(null);
    if (!other) return store.set({ view: panned(store.get().view, dx, dy) });
    const apart = (/** @type {Point} */ p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
    const middle = /** @type {Point} */ ([(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    const slid = panned(store.get().view, dx / 2, dy / 2);
    store.set({ view: zoomed(slid, apart(now) / apart(before), middle, on.limits()) });
  });
  plane.addEventListener("pointerup", (event) => {
    const isTap = down.size === 1 && down.has(event.pointerId) && moved < STILL;
    down.delete(event.pointerId);
    if (isTap) on.tap(toData(store.get().view, pixelOf(event)), pixelOf(event));
  });
  plane.addEventListener("pointercancel", (event) => void down.delete(event.pointerId));
  plane.addEventListener("pointerleave", () => on.hover(null));
  plane.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    const factor = Math.exp(-Math.max(-240, Math.min(240, lines * event.deltaY)) / 400);
    store.set({ view: zoomed(store.get().view, factor, pixelOf(event), on.limits()) });
  }, { passive: false });
}
