// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { CATEGORICAL, between, classStyle, heat, numberStops, paint, rangeOf, rgb, stopsOf } from "../../../src/pullback/explorer/page/colours.js";

/** How light a colour is to the eye, of 0 to 1: sRGB's relative luminance. @param {number[]} colour */
function light(colour) {
  const linear = colour.map((u) => (u / 255 <= 0.04045 ? u / 255 / 12.92 : ((u / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

/** What a dichromat sees of a colour, after Viénot, Brettel and Mollon, "Digital video colourmaps for
 * checking the legibility of displays by dichromats", 1999. @param {number[]} colour
 * @param {"protan" | "deutan"} kind */
function seen(colour, kind) {
  const [r, g, b] = colour.map((u) => (u / 255) ** 2.2);
  const mix = kind === "protan" ? [0.11238, 0.88762, 0.00401] : [0.29275, 0.70725, -0.02234];
  const red = mix[0] * r + mix[1] * g;
  return [red, red, mix[2] * (r - g) + b].map((u) => 255 * Math.max(u, 0) ** (1 / 2.2));
}

test("64 classes have different styles", () => {
  const styles = Array.from({ length: 64 }, (_, i) => Object.values(classStyle(i)).join());
  assert.equal(new Set(styles).size, 64);
});

test("the first classes differ for the colour-blind too", () => {
  for (const kind of /** @type {const} */ (["protan", "deutan"])) {
    const colours = CATEGORICAL.slice(0, 6).map((hex) => seen(rgb(hex), kind));
    for (let i = 0; i < colours.length; i++) {
      for (let j = 0; j < i; j++) {
        const apart = Math.hypot(...colours[i].map((u, k) => u - colours[j][k]));
        assert.ok(apart > 25, `${kind}: ${CATEGORICAL[i]} and ${CATEGORICAL[j]} are ${apart} apart`);
      }
    }
  }
});

test("maps of numbers grow lighter or darker all along, so that grey tells them too", () => {
  for (const stops of [numberStops(), stopsOf("sequential", "light"), stopsOf("sequential", "dark")]) {
    const lights = Array.from({ length: 50 }, (_, i) => light(between(stops, i / 49)));
    const signs = new Set(lights.slice(1).map((u, i) => Math.sign(u - lights[i])));
    assert.equal(signs.size, 1, `${stops}`);
  }
});

test("between takes the stops at their places, and the ends beyond them", () => {
  const stops = ["#000000", "#646464", "#ff0000"];
  assert.deepEqual(between(stops, 0.5), [100, 100, 100]);
  assert.deepEqual(between(stops, 0.25), [50, 50, 50]);
  assert.deepEqual([between(stops, -3), between(stops, 7)], [[0, 0, 0], [255, 0, 0]]);
});

test("codes are painted by class and by number, and grey where nothing is known", () => {
  const classes = paint("category", [1, null, -1, 0]);
  assert.deepEqual([...classes.slice(0, 4)], [...rgb(CATEGORICAL[1]), 1]);
  assert.deepEqual([...classes.slice(4, 12)], [140, 140, 140, 0, 140, 140, 140, 0]);
  const numbers = paint("number", [5, NaN, 15, 10]);
  assert.deepEqual([...numbers.slice(0, 3)], rgb(numberStops()[0]));
  assert.deepEqual([...numbers.slice(4, 7)], [140, 140, 140]);
  assert.deepEqual([...numbers.slice(12, 15)], rgb(numberStops()[4]));
});

test("the range leaves out what is no number", () => {
  assert.deepEqual(rangeOf([3, NaN, null, -1, Infinity]), [-1, 3]);
  assert.deepEqual(rangeOf([NaN]), [0, 1]);
});

test("the first row of a layer is the lowest of the picture, and NaN is transparent", () => {
  const layer = { shape: /** @type {[number, number]} */ ([2, 1]), values: new Float32Array([0, NaN]), low: 0, high: 1 };
  const pixels = heat(layer, "sequential", "light");
  assert.equal(pixels[3], 0);
  assert.deepEqual([...pixels.slice(4)], [...rgb(stopsOf("sequential", "light")[0]), 255]);
});

test("a diverging layer has the colour of the card at 0, wherever its range lies", () => {
  const layer = { shape: /** @type {[number, number]} */ ([1, 2]), values: new Float32Array([0, 8]), low: -1, high: 8 };
  const pixels = heat(layer, "diverging", "dark");
  assert.deepEqual([...pixels.slice(0, 3)], rgb("#171b21"));
});
