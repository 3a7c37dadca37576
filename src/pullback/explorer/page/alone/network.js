// @ts-check
/** Networks: layers that map rows of numbers, all rows of a batch at once. */

import { unpacked } from "./packed.js";

/** @typedef {import("./packed.js").Packed} Packed */
/** @typedef {{kind: string} & Record<string, any>} Layer as `explorer.alone.layers` writes them */
/** @typedef {(x: Float64Array, n: number) => Float64Array} Map from n rows to as many */

/** The map of layers, one after the other.
 * @param {Layer[]} layers
 * @returns {Map} */
export function createNetwork(layers) {
  const maps = layers.map(createLayer);
  return (x, n) => maps.reduce((rows, map) => map(rows, n), x);
}

/** @param {Layer} layer @returns {Map} */
function createLayer(layer) {
  const made = LAYERS[layer.kind];
  if (!made) throw new Error(`This page holds a layer that it does not know: ${layer.kind}.`);
  return made(layer);
}

/** Rows times the transpose of a matrix, plus a row: y = x W' + c.
 *
 * Four rows and two features at once, for each number is then fetched once for several products: 1.6
 * times as fast as four and one. Where the last ones are fewer, they are worked out twice.
 * @param {Float64Array} x @param {number} n rows @param {Float64Array} W @param {Float64Array} bias
 * @param {number} nIn @param {number} nOut
 * @returns {Float64Array} */
export function affine(x, n, W, bias, nIn, nOut) {
  const y = new Float64Array(n * nOut);
  for (let r = 0; r < n; r += 4) {
    const [, r1, r2, r3] = [0, 1, 2, 3].map((k) => Math.min(r + k, n - 1));
    const a = r * nIn, b = r1 * nIn, c = r2 * nIn, d = r3 * nIn;
    for (let j = 0; j < nOut; j += 2) {
      const k = Math.min(j + 1, nOut - 1);
      const u = j * nIn, v = k * nIn;
      let a0 = bias[j], b0 = a0, c0 = a0, d0 = a0;
      let a1 = bias[k], b1 = a1, c1 = a1, d1 = a1;
      for (let i = 0; i < nIn; i++) {
        const w0 = W[u + i], w1 = W[v + i];
        const xa = x[a + i], xb = x[b + i], xc = x[c + i], xd = x[d + i];
        a0 += w0 * xa;
        b0 += w0 * xb;
        c0 += w0 * xc;
        d0 += w0 * xd;
        a1 += w1 * xa;
        b1 += w1 * xb;
        c1 += w1 * xc;
        d1 += w1 * xd;
      }
      y[r * nOut + j] = a0;
      y[r1 * nOut + j] = b0;
      y[r2 * nOut + j] = c0;
      y[r3 * nOut + j] = d0;
      y[r * nOut + k] = a1;
      y[r1 * nOut + k] = b1;
      y[r2 * nOut + k] = c1;
      y[r3 * nOut + k] = d1;
    }
  }
  return y;
}

/** A layer that maps each number by itself. @param {(u: number) => number} of @returns {Map} */
const each = (of) => (x) => {
  const y = new Float64Array(x.length); // a loop, for `map` takes twice as long
  for (let i = 0; i < x.length; i++) y[i] = of(x[i]);
  return y;
};

/** log(1 + e^u), which grows as u does. @param {number} u */
export const softplus = (u) => (u > 0 ? u + Math.log1p(Math.exp(-u)) : Math.log1p(Math.exp(u)));
/** @param {number} u */
export const sigmoid = (u) => 1 / (1 + Math.exp(-u));

/** The error function, by a series of positive terms: 2 x e^(-x^2) / sqrt(pi) sum (2 x^2)^k / (2k+1)!!
 * @param {number} x
 * @returns {number} */
export function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x); // it differs by 2e-17
  let [term, sum] = [1, 1];
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (2 * x * x) / (2 * k + 1);
    sum += term;
  }
  return ((2 * x) / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** @param {number} u */
const gelu = (u) => 0.5 * u * (1 + erf(u * Math.SQRT1_2));
/** @param {number} u */
const geluByTanh = (u) =>
  0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u * u * u)));

/** @type {Record<string, (layer: Layer) => Map>} */
const LAYERS = {
  linear({ weight, bias }) {
    const [[nOut, nIn], W, c] = [weight.shape, unpacked(weight), unpacked(bias)];
    return (x, n) => affine(x, n, W, c, nIn, nOut);
  },
  // Of each feature: its number times a scale, plus a shift.
  scale({ scale, shift }) {
    const [s, c] = [unpacked(scale), unpacked(shift)];
    return (x) => x.map((u, i) => u * s[i % s.length] + c[i % c.length]);
  },
  layer_norm({ size, eps, weight, bias }) {
    const [w, c] = [unpacked(weight), unpacked(bias)];
    return (x) => normalized(x, size, eps, w, c);
  },
  conv: (layer) => convolution(layer, false),
  conv_transpose: (layer) => convolution(layer, true),
  tanh: () => each(Math.tanh),
  sigmoid: () => each(sigmoid),
  softplus: ({ beta, threshold }) => each((u) => (beta * u > threshold ? u : softplus(beta * u) / beta)),
  silu: () => each((u) => u * sigmoid(u)),
  gelu: ({ approximate }) => each(approximate === "tanh" ? geluByTanh : gelu),
  relu: () => each((u) => Math.max(u, 0)),
  leaky_relu: ({ slope }) => each((u) => (u > 0 ? u : slope * u)),
  elu: ({ alpha }) => each((u) => (u > 0 ? u : alpha * Math.expm1(u))),
};

/** @param {Float64Array} x @param {number} size @param {number} eps @param {Float64Array} w
 * @param {Float64Array} c */
function normalized(x, size, eps, w, c) {
  const y = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += size) {
    const part = x.subarray(at, at + size);
    const mean = part.reduce((sum, u) => sum + u, 0) / size;
    const variance = part.reduce((sum, u) => sum + (u - mean) ** 2, 0) / size;
    const by = 1 / Math.sqrt(variance + eps);
    for (let i = 0; i < size; i++) y[at + i] = (part[i] - mean) * by * w[i] + c[i];
  }
  return y;
}

/** A convolution of images, or its transpose, as one product for all pixels of all images: each pixel
 * of the smaller side meets a window of the larger one.
 * @param {Layer} layer `from` and `to` are (channels, height, width), the weight (small's channels,
 *   large's, height, width) @param {boolean} isTransposed @returns {Map} */
function convolution({ weight, bias, stride, padding, from, to }, isTransposed) {
  const [W, c] = [unpacked(weight), unpacked(bias)];
  const [[channels, h, w], large] = isTransposed ? [from, to] : [to, from];
  const windows = windowsOf(h, w, large, weight.shape, stride, padding);
  const [pixels, size] = [h * w, windows.length / (h * w)];
  const nLarge = large[0] * large[1] * large[2];
  if (!isTransposed) {
    return (x, n) => {
      const seen = new Float64Array(n * windows.length);
      for (let r = 0, at = 0; r < n; r++) {
        for (const there of windows) seen[at++] = there < 0 ? 0 : x[r * nLarge + there];
      }
      const y = affine(seen, n * pixels, W, c, size, channels);
      return turned(y, n, pixels, channels);
    };
  }
  const [turnedW, none] = [turned(W, 1, channels, size), new Float64Array(size)];
  const plane = large[1] * large[2];
  return (x, n) => {
    const cast = affine(turned(x, n, channels, pixels), n * pixels, turnedW, none, channels, size);
    const y = new Float64Array(n * nLarge);
    for (let k = 0; k < y.length; k += plane) y.fill(c[(k / plane) % large[0]], k, k + plane);
    for (let r = 0, at = 0; r < n; r++) {
      for (const there of windows) {
        if (there >= 0) y[r * nLarge + there] += cast[at];
        at++;
      }
    }
    return y;
  };
}

/** For each pixel of the smaller side and each place of the kernel, the number of the larger side that
 * they meet at, or -1 beyond its edge.
 * @param {number} h @param {number} w @param {number[]} large @param {number[]} kernel
 * @param {number[]} stride @param {number[]} padding */
function windowsOf(h, w, [channels, height, width], [, , high, wide], stride, padding) {
  const found = [];
  for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) {
    for (let l = 0; l < channels; l++) for (let a = 0; a < high; a++) for (let b = 0; b < wide; b++) {
      const [row, column] = [i * stride[0] + a - padding[0], j * stride[1] + b - padding[1]];
      const isInside = row >= 0 && row < height && column >= 0 && column < width;
      found.push(isInside ? (l * height + row) * width + column : -1);
    }
  }
  return Int32Array.from(found);
}

/** The transpose of each of n matrices. @param {Float64Array} x @param {number} n
 * @param {number} rows @param {number} columns */
function turned(x, n, rows, columns) {
  const y = new Float64Array(x.length);
  for (let k = 0, at = 0; k < n; k++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) y[(k * columns + j) * rows + i] = x[at++];
    }
  }
  return y;
}
