// @ts-check
/** What is decoded along the curves: images, or numbers as small lines, with the sizes of the steps. */

import { number } from "./certificate.js";
import { bytesOf } from "./link.js";
import { through } from "./curves.js";

/** @typedef {import("./link.js").Strip} Strip */
/** @typedef {import("./link.js").Path} Path */
/** @typedef {import("./view.js").Point} Point */

const SVG = "http://www.w3.org/2000/svg";

/** Split a strip of images into its pictures, as grey bytes.
 * @param {Strip} strip
 * @returns {{width: number, height: number, pictures: Uint8Array[]}} */
export function picturesOf({ shape = [0, 0, 0], data = "" }) {
  const [n, height, width] = shape;
  const bytes = bytesOf(data);
  const size = height * width;
  const pictures = Array.from({ length: n }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
  return { width, height, pictures };
}

/** Draw grey bytes on a canvas of that size.
 * @param {HTMLCanvasElement} canvas @param {Uint8Array} grey @param {number} width
 * @param {number} height */
export function drawPicture(canvas, grey, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const pixels = new Uint8ClampedArray(4 * grey.length).fill(255);
  for (let i = 0; i < grey.length; i++) pixels.fill(grey[i], 4 * i, 4 * i + 3);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** The images of a strip, in a row of canvases that is kept from one drag to the next.
 * @param {HTMLElement} row @param {Strip} strip */
export function drawImages(row, strip) {
  const { width, height, pictures } = picturesOf(strip);
  if (row.childElementCount !== pictures.length || row.firstElementChild?.tagName !== "CANVAS") {
    row.replaceChildren(...pictures.map(() => document.createElement("canvas")));
  }
  pictures.forEach((grey, i) => {
    drawPicture(/** @type {HTMLCanvasElement} */ (row.children[i]), grey, width, height);
  });
}

/** The sizes of the steps, as bars from the first image to the last.
 * @param {HTMLElement} row @param {(number | null)[]} steps @param {number} largest of both curves */
function drawSteps(row, steps, largest) {
  if (row.childElementCount !== steps.length) {
    row.replaceChildren(...steps.map(() => document.createElement("i")));
  }
  steps.forEach((size, i) => {
    const mark = /** @type {HTMLElement} */ (row.children[i]);
    mark.style.height = `${Math.max(6, (100 * (size ?? 0)) / largest)}%`;
  });
  row.setAttribute("role", "img");
  row.setAttribute("aria-label", spread(steps));
}

/** The smallest and the largest step, in words.
 * @param {(number | null)[]} steps
 * @returns {string} */
export function spread(steps) {
  const known = steps.filter((size) => size !== null);
  if (!known.length) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)].map((u) => number(Number(u.toPrecision(2))));
  return low === high ? `steps of ${low}` : `steps ${low}–${high}`;
}

/** One feature along both curves, as two small lines over the same axis.
 * @param {string} name @param {number[]} geodesic @param {number[] | null} straight */
function sparkline(name, geodesic, straight) {
  const all = [...geodesic, ...(straight ?? [])];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const place = (/** @type {number[]} */ values) =>
    through(values.map((v, i) => /** @type {Point} */ ([
      Number(((100 * i) / (values.length - 1 || 1)).toFixed(2)),
      Number((38 - (36 * (v - low)) / (high - low || 1)).toFixed(2)),
    ])));
  const figure = document.createElement("figure");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  for (const [kind, values] of /** @type {[string, number[] | null][]} */ ([
    ["straight", straight], ["geodesic", geodesic],
  ])) {
    if (!values) continue;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", kind);
    path.setAttribute("vector-effect", "non-scaling-stroke");
    path.setAttribute("d", place(values));
    svg.append(path);
  }
  const caption = document.createElement("figcaption");
  const [label, range] = [document.createElement("span"), document.createElement("small")];
  [label.textContent, label.title] = [name, name];
  range.textContent = `${number(low)} to ${number(high)}`;
  caption.append(label, range);
  figure.append(svg, caption);
  return figure;
}

/** Numbers along both curves: a small picture for each feature.
 * @param {HTMLElement} grid @param {Strip} geodesic @param {Strip} straight */
function drawValues(grid, geodesic, straight) {
  const names = geodesic.names ?? (geodesic.values?.[0] ?? []).map((_, j) => `x${j + 1}`);
  const others = straight.names ?? names;
  const column = (/** @type {Strip} */ strip, /** @type {number} */ j) =>
    (strip.values ?? []).map((row) => row[j]);
  grid.replaceChildren(
    ...names.map((name, j) => {
      const other = others.indexOf(name);
      return sparkline(name, column(geodesic, j), other < 0 ? null : column(straight, other));
    }),
  );
}

/** Write what is decoded along a path into its section.
 * @param {HTMLElement} section with parts by `data-part`
 * @param {Path | null} path */
export function writeStrips(section, path) {
  const part = (/** @type {string} */ name) =>
    /** @type {HTMLElement} */ (section.querySelector(`[data-part="${name}"]`));
  const images = path?.images;
  section.classList.toggle("empty", !images);
  if (!path || !images) return;
  const hasPictures = Boolean(images.geodesic.data);
  part("numbers").hidden = hasPictures;
  part("geodesic-images").hidden = part("straight-images").hidden = !hasPictures;
  if (hasPictures) {
    drawImages(part("geodesic-images"), images.geodesic);
    drawImages(part("straight-images"), images.straight);
  } else {
    drawValues(part("numbers"), images.geodesic, images.straight);
  }
  const { geodesic, straight } = path.steps;
  const largest = Math.max(...[...geodesic, ...straight].map((size) => size ?? 0), 1e-300);
  drawSteps(part("geodesic-steps"), geodesic, largest);
  drawSteps(part("straight-steps"), straight, largest);
  part("geodesic-spread").textContent = spread(geodesic);
  part("straight-spread").textContent = spread(straight);
}
