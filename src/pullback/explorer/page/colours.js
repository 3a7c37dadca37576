// @ts-check
/** Colours that the colour-blind can tell apart, for codes and for layers, on light and dark pages. */

/** Colours of classes, after Okabe and Ito, "Color Universal Design", 2008: those of the figures. */
export const CATEGORICAL = [
  "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999",
];

/** Markers of classes, in the order of the shader in codes.js: they tell apart what colour does not. */
export const MARKERS = ["●", "■", "▲", "◆", "▼", "✚", "✖", "★"];

/** viridis in nine stops: numbers that the codes carry. */
const VIRIDIS = [
  "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725",
];

/** Layers lie under the codes, so they are near to grey and begin at the colour of the card. */
const SEQUENTIAL = {
  light: ["#ffffff", "#e3e9f0", "#bccad8", "#8fa3b8", "#647b94", "#3f566f"],
  dark: ["#171b21", "#232c37", "#344556", "#4c647b", "#6d8aa5", "#97b4cd"],
};
const DIVERGING = {
  light: ["#4a83b5", "#a5c4de", "#ffffff", "#ecc6a5", "#c07a3d"],
  dark: ["#5c9bcf", "#2f506d", "#171b21", "#654023", "#cb8c58"],
};

/** @typedef {"light" | "dark"} Theme */
/** @typedef {[number, number, number]} RGB */

/** Read `#rrggbb`.
 * @param {string} hex
 * @returns {RGB} */
export function rgb(hex) {
  const n = parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** Look a number between 0 and 1 up between the stops of a map of colours.
 * @param {string[]} stops
 * @param {number} t
 * @returns {RGB} */
export function between(stops, t) {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [rgb(stops[i]), rgb(stops[i + 1])];
  const mix = (/** @type {0 | 1 | 2} */ k) => Math.round(a[k] + (b[k] - a[k]) * (at - i));
  return [mix(0), mix(1), mix(2)];
}

/** The colour and the marker of the class of that index: 64 of them differ.
 * @param {number} index
 * @returns {{colour: string, marker: string, shape: number}} */
export function classStyle(index) {
  const shape = (index + Math.floor(index / CATEGORICAL.length)) % MARKERS.length;
  return { colour: CATEGORICAL[index % CATEGORICAL.length], marker: MARKERS[shape], shape };
}

/** The stops of the colours of a layer.
 * @param {string} scale "sequential", "diverging" or "category"
 * @param {Theme} theme
 * @returns {string[]} */
export function stopsOf(scale, theme) {
  return scale === "diverging" ? DIVERGING[theme] : SEQUENTIAL[theme];
}

/** The stops of the colours of numbers on codes.
 * @returns {string[]} */
export function numberStops() {
  return VIRIDIS;
}

/** The least and the largest of the numbers that there are, or [0, 1].
 * @param {ArrayLike<number | null>} values
 * @returns {[number, number]} */
export function rangeOf(values) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v === null || !Number.isFinite(v)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return low <= high ? [low, high] : [0, 1];
}

/** Colour and shape of each code, four bytes each: red, green, blue, and the index of the marker.
 * What is missing is grey.
 * @param {"category" | "number"} kind
 * @param {ArrayLike<number | null>} values
 * @returns {Uint8Array} */
export function paint(kind, values) {
  const painted = new Uint8Array(4 * values.length).fill(140);
  const [low, high] = kind === "number" ? rangeOf(values) : [0, 1];
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    painted[4 * i + 3] = 0;
    if (v === null || !Number.isFinite(v) || (kind === "category" && v < 0)) continue;
    const style = kind === "category" ? classStyle(v) : null;
    painted.set(style ? rgb(style.colour) : between(VIRIDIS, (v - low) / (high - low || 1)), 4 * i);
    if (style) painted[4 * i + 3] = style.shape;
  }
  return painted;
}

/** The pixels of a layer, the highest row of the plane first as pictures have it.
 * Values are between `low` and `high`; not a number is transparent.
 * @param {{shape: [number, number], values: Float32Array, low: number, high: number}} layer
 * @param {string} scale
 * @param {Theme} theme
 * @returns {Uint8ClampedArray<ArrayBuffer>} */
export function heat({ shape: [ny, nx], values, low, high }, scale, theme) {
  const pixels = new Uint8ClampedArray(4 * nx * ny);
  const stops = stopsOf(scale, theme);
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  for (let row = 0; row < ny; row++) {
    for (let column = 0; column < nx; column++) {
      const v = values[row * nx + column];
      if (!Number.isFinite(v)) continue;
      const t = scale === "diverging" ? (v / most + 1) / 2 : (v - low) / (high - low || 1);
      const at = 4 * ((ny - 1 - row) * nx + column);
      pixels.set(scale === "category" ? rgb(classStyle(Math.round(v)).colour) : between(stops, t), at);
      pixels[at + 3] = scale === "category" ? 96 : 255;
    }
  }
  return pixels;
}
