// @ts-check
/** The layer under the codes: a map of colours over the plane, and the bar that says what it means. */

import { heat, numberStops, rangeOf, stopsOf } from "./colours.js";
import { bytesOf } from "./link.js";
import { toScreen } from "./view.js";
import { number } from "./certificate.js";

/** @typedef {import("./link.js").Layer} Layer */
/** @typedef {import("./colours.js").Theme} Theme */

/** A layer as it came, with its numbers read.
 * @param {any} answer
 * @returns {Layer} */
export function readLayer(answer) {
  const values = new Float32Array(bytesOf(answer.data).buffer);
  const [low, high] = rangeOf(values);
  return { ...answer, values, low: answer.low ?? low, high: answer.high ?? high };
}

/** The picture of a layer, one pixel for each of its numbers.
 * @param {Layer} layer
 * @param {Theme} theme
 * @returns {HTMLCanvasElement} */
export function pictureOf(layer, theme) {
  const picture = document.createElement("canvas");
  [picture.height, picture.width] = layer.shape;
  const pixels = heat(layer, layer.scale ?? "sequential", theme);
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  context.putImageData(new ImageData(pixels, picture.width, picture.height), 0, 0);
  return picture;
}

/** Draw layers on a canvas. A picture is painted once for each layer and theme.
 * @param {HTMLCanvasElement} canvas
 * @param {() => string} beyond the colour of where a layer has nothing
 * @returns {(layer: Layer | null, theme: Theme, view: import("./view.js").View,
 *   size: [number, number]) => void} */
export function createHeat(canvas, beyond) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @type {{layer: Layer | null, theme: Theme, picture: HTMLCanvasElement | null}} */
  let made = { layer: null, theme: "light", picture: null };
  return (layer, theme, view, [width]) => {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!layer) return;
    context.fillStyle = beyond();
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (made.layer !== layer || made.theme !== theme) {
      made = { layer, theme, picture: pictureOf(layer, theme) };
    }
    const ratio = canvas.width / width;
    const [low, high] = layer.box;
    const [left, top] = toScreen(view, [low[0], high[1]]);
    const [right, bottom] = toScreen(view, [high[0], low[1]]);
    context.imageSmoothingEnabled = layer.scale !== "category";
    context.imageSmoothingQuality = "high";
    const picture = /** @type {HTMLCanvasElement} */ (made.picture);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const rectangle = [[left, bottom], [right, bottom], [right, top], [left, top]];
    clear(context, layer.outline?.map((corner) => toScreen(view, corner)) ?? rectangle);
    context.drawImage(picture, left, top, right - left, bottom - top);
  };
}

/** Take away what was painted inside of a polygon.
 * @param {CanvasRenderingContext2D} context @param {number[][]} corners */
function clear(context, corners) {
  context.globalCompositeOperation = "destination-out";
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
  context.fill();
  context.globalCompositeOperation = "source-over";
}

/** The bar of colours of numbers: a strip of its colours between the least and the largest.
 * @param {string} title
 * @param {string[]} stops
 * @param {[number, number]} range
 * @returns {HTMLElement} */
export function bar(title, stops, [low, high]) {
  const whole = document.createElement("div");
  whole.className = "bar-of-colours";
  const strip = document.createElement("span");
  strip.className = "strip-of-colours";
  strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const [name, from, to] = [title, number(low), number(high)].map((text) => {
    const span = document.createElement("span");
    span.textContent = text;
    return span;
  });
  name.className = "bar-title";
  whole.append(name, from, strip, to);
  return whole;
}

/** The bar of a layer, or nothing for cells, whose colours are those of the codes.
 * @param {Layer} layer
 * @param {string} title
 * @param {Theme} theme
 * @returns {HTMLElement | null} */
export function barOfLayer(layer, title, theme) {
  const scale = layer.scale ?? "sequential";
  if (scale === "category") return null;
  const most = Math.max(Math.abs(layer.low), Math.abs(layer.high));
  const range = /** @type {[number, number]} */ (
    scale === "diverging" ? [-most, most] : [layer.low, layer.high]
  );
  const unit = layer.unit ? `${title} (${layer.unit})` : title;
  return bar(unit, stopsOf(scale, theme), range);
}

/** The bar of a column of numbers.
 * @param {string} title
 * @param {ArrayLike<number | null>} values
 * @returns {HTMLElement} */
export function barOfColumn(title, values) {
  return bar(title, numberStops(), rangeOf(values));
}
