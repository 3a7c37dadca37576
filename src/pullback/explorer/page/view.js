// @ts-check
/** Where the plane of codes lies on the screen: both axes have one scale, and y points upwards. */

/** @typedef {[number, number]} Point */
/** @typedef {{scale: number, x: number, y: number}} View Screen = (x + scale u, y - scale v). */
/** @typedef {[Point, Point]} Box The lower left and the upper right corner. */

/** The view that shows a whole box, centred.
 * @param {Box} box
 * @param {number} width of the screen, in pixels
 * @param {number} height
 * @param {number} margin in pixels
 * @returns {View} */
export function fit([low, high], width, height, margin = 24) {
  const [w, h] = [high[0] - low[0] || 1, high[1] - low[1] || 1];
  const room = Math.min(margin, width / 4, height / 4);
  const scale = Math.min((width - 2 * room) / w, (height - 2 * room) / h);
  return {
    scale,
    x: width / 2 - (scale * (low[0] + high[0])) / 2,
    y: height / 2 + (scale * (low[1] + high[1])) / 2,
  };
}

/** The box that holds all codes.
 * @param {Float32Array} codes x and y in turn
 * @returns {Box | null} null if there are none */
export function boxOf(codes) {
  /** @type {Box} */
  const box = [[Infinity, Infinity], [-Infinity, -Infinity]];
  for (let i = 0; i < codes.length; i++) {
    const axis = /** @type {0 | 1} */ (i & 1);
    if (codes[i] < box[0][axis]) box[0][axis] = codes[i];
    if (codes[i] > box[1][axis]) box[1][axis] = codes[i];
  }
  return codes.length ? box : null;
}

/** From the plane to the screen.
 * @param {View} view
 * @param {Point} point
 * @returns {Point} */
export function toScreen(view, [u, v]) {
  return [view.x + view.scale * u, view.y - view.scale * v];
}

/** From the screen to the plane.
 * @param {View} view
 * @param {Point} pixel
 * @returns {Point} */
export function toData(view, [x, y]) {
  return [(x - view.x) / view.scale, (view.y - y) / view.scale];
}

/** The view moved by so many pixels.
 * @param {View} view
 * @param {number} dx
 * @param {number} dy
 * @returns {View} */
export function panned(view, dx, dy) {
  return { scale: view.scale, x: view.x + dx, y: view.y + dy };
}

/** The view enlarged by a factor about a pixel, which stays where it is.
 * @param {View} view
 * @param {number} factor
 * @param {Point} pixel
 * @param {[number, number]} limits of the scale
 * @returns {View} */
export function zoomed(view, factor, pixel, limits = [1e-9, 1e9]) {
  const scale = Math.min(Math.max(view.scale * factor, limits[0]), limits[1]);
  const by = scale / view.scale;
  return {
    scale,
    x: pixel[0] + (view.x - pixel[0]) * by,
    y: pixel[1] + (view.y - pixel[1]) * by,
  };
}

/** The part of the plane that the screen shows.
 * @param {View} view
 * @param {number} width
 * @param {number} height
 * @returns {Box} */
export function shown(view, width, height) {
  return [toData(view, [0, height]), toData(view, [width, 0])];
}

/** The view for a screen of another size, about the same middle, showing as much as before.
 * @param {View} view
 * @param {[number, number]} before width and height
 * @param {[number, number]} after
 * @returns {View} */
export function resized(view, before, after) {
  const by = Math.min(after[0] / before[0], after[1] / before[1]);
  const [u, v] = toData(view, [before[0] / 2, before[1] / 2]);
  const scale = view.scale * by;
  return { scale, x: after[0] / 2 - scale * u, y: after[1] / 2 + scale * v };
}

/** Round numbers between two others, about so many.
 * @param {number} low
 * @param {number} high
 * @param {number} about
 * @returns {number[]} */
export function ticks(low, high, about) {
  if (!(high > low) || about < 1) return [];
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((s) => s * power >= rough) ?? 10);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

/** The matrix of the view, as the `transform` of SVG has it.
 * @param {View} view
 * @returns {string} */
export function matrix(view) {
  return `matrix(${view.scale} 0 0 ${-view.scale} ${view.x} ${view.y})`;
}
