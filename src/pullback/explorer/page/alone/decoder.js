// @ts-check
/** The decoder: from points of the plane to what is shown of them, and to where lengths are measured. */

import { affine, createNetwork, sigmoid, softplus } from "./network.js";
import { unpacked } from "./packed.js";

/** @typedef {import("./network.js").Layer} Layer */
/** @typedef {import("./network.js").Map} Map */
/** @typedef {{layers: Layer[], family: {name: string} & Record<string, any>, unit: {scale:
 *   import("./packed.js").Packed, center: import("./packed.js").Packed}}} Model as
 *   `explorer.alone.decoder` writes it */
/** @typedef {{mean: (features: Float64Array) => Float64Array,
 *   image: (features: Float64Array, z: Float64Array) => Float64Array}} Reading How the features of the
 *   network at points are read. */
/** @typedef {{means: Map, images: Map, dataDim: number, imageDim: number, scale: Float64Array,
 *   center: Float64Array}} Decoder From n points to rows of means in the unit of the model, and to rows
 *   of images: the metric is that of R^m pulled back from there. `scale` and `center` bring means into
 *   the unit of the data as they were read. */

/** The decoder that an export holds.
 * @param {Model} model
 * @returns {Decoder} */
export function createDecoder({ layers, family, unit }) {
  const network = createNetwork(layers);
  const read = FAMILIES[family.name];
  if (!read) throw new Error(`This page holds a decoder that it does not know: ${family.name}.`);
  const { mean, image } = read(family);
  /** @type {Map} */
  const means = (z, n) => mean(network(z, n));
  /** @type {Map} */
  const images = (z, n) => image(network(z, n), z);
  const [dataDim, imageDim] = [means, images].map((map) => map(new Float64Array(2), 1).length);
  const [scale, center] = [unit.scale, unit.center].map((packed) => {
    const given = unpacked(packed);
    return given.length === 1 ? new Float64Array(dataDim).fill(given[0]) : given;
  });
  return { means, images, dataDim, imageDim, scale, center };
}

// Kernels beyond are zero, as in Python: products with denormal numbers are a hundred times slower.
const FARTHEST = 531;

/** @type {Record<string, (family: Record<string, any>) => Reading>} */
const FAMILIES = {
  point: () => ({ mean: (features) => features, image: (features) => features }),
  normal({ std }) {
    const sigma = STDS[std.kind](std);
    return {
      mean: (features) => features,
      image: (features, z) => beside(features, sigma(z, z.length / 2), z.length / 2),
    };
  },
  bernoulli: () => ({
    mean: (logits) => logits.map(sigmoid),
    image: (logits) => logits.map((u) => {
      const angle = 2 * Math.atan(Math.exp(-Math.abs(u) / 2)); // the other one may overflow
      return u > 0 ? Math.PI - angle : angle;
    }),
  }),
  poisson: () => ({
    mean: (logs) => logs.map(Math.exp),
    image: (logs) => logs.map((u) => 2 * Math.sqrt(Math.exp(u) + 2 ** -511)),
  }),
  student_t({ by }) {
    const weight = unpacked(by);
    return {
      mean: (features) => features,
      image: (features) => features.map((u, i) => u * weight[i % weight.length]),
    };
  },
  negative_binomial({ log_dispersion: given }) {
    const log = unpacked(given);
    const root = log.map((u) => Math.exp(u / 2));
    return {
      mean: (logs) => logs.map(Math.exp),
      image: (logs) => logs.map((u, i) =>
        2 * root[i % log.length] * asinhOfRoot(u - log[i % log.length])),
    };
  },
};

/** asinh(exp(u / 2)), which grows as u / 2 does. @param {number} u */
function asinhOfRoot(u) {
  if (u <= 0) return Math.asinh(Math.exp(u / 2));
  return u / 2 + Math.log1p(Math.sqrt(1 + Math.exp(-u)));
}

/** Rows of means and rows of standard deviations side by side.
 * @param {Float64Array} mean @param {Float64Array} sigma @param {number} n */
function beside(mean, sigma, n) {
  const size = mean.length / n;
  const both = new Float64Array(2 * mean.length);
  for (let r = 0; r < n; r++) {
    both.set(mean.subarray(r * size, (r + 1) * size), 2 * r * size);
    both.set(sigma.subarray(r * size, (r + 1) * size), (2 * r + 1) * size);
  }
  return both;
}

/** Standard deviations at points. @type {Record<string, (std: Record<string, any>) => Map>} */
const STDS = {
  constant: ({ value, size }) => (_, n) => new Float64Array(n * size).fill(value),
  network({ layers, min, scale }) {
    const network = createNetwork(layers);
    return (z, n) => network(z, n).map((u) => min + scale * softplus(u));
  },
  rbf({ centers, bandwidths, weights, zeta }) {
    const [c, lambda, W] = [unpacked(centers), unpacked(bandwidths), unpacked(weights)];
    const [size, k] = weights.shape;
    const least = new Float64Array(size).fill(zeta);
    return (z, n) => {
      const kernels = new Float64Array(n * k);
      for (let r = 0; r < n; r++) {
        for (let i = 0; i < k; i++) {
          const [x, y] = [z[2 * r] - c[2 * i], z[2 * r + 1] - c[2 * i + 1]];
          const exponent = lambda[i] * (x * x + y * y);
          kernels[r * k + i] = exponent < FARTHEST ? Math.exp(-exponent) : 0;
        }
      }
      const sigma = affine(kernels, n, W, least, k, size);
      for (let i = 0; i < sigma.length; i++) sigma[i] = 1 / Math.sqrt(sigma[i]);
      return sigma;
    };
  },
};
