// @ts-check
/** What a page that stands alone answers to the requests that a server answers elsewhere. */

import { createDecoder } from "./decoder.js";
import { line, measureCurve, SEGMENTS } from "./exact.js";
import { singles } from "./packed.js";
import { createSearch } from "./search.js";
import { picked, sizes, strips } from "./shown.js";
import { createTable } from "./table.js";
import { RTOL, tell, tellNone } from "./told.js";

/** @typedef {import("./decoder.js").Decoder} Decoder */
/** @typedef {import("./inside.js").Shown} Shown */
/** @typedef {Shown & {pixels: [number, number], table: {low: number[], high: number[],
 *   margin: number[], shape: number[], coefficients: string}, model: import("./decoder.js").Model,
 *   layers: Record<string, object>}} Content what an export holds, see `explorer.alone.content` */
/** @typedef {Record<string, (body: any) => object>} Answers by the type of the request */

/** Steps of equal time whose sizes in data space are told. */
const STEPS = 32;

/** The answers of an export.
 * @param {Content} content
 * @returns {Answers} */
export function createAnswers(content) {
  const decoder = createDecoder(content.model);
  const search = createSearch(createTable(content.table, singles(content.table.coefficients)));
  const codes = singles(content.codes);
  const { image, features, columns } = content.scene;
  const look = { image, features, pixels: content.pixels };
  const values = columns.map(({ name }) => singles(content.columns[name]));
  return {
    path: ({ a, b, n_images: n }) => answerPath(search, decoder, look, a, b, n),
    layer({ name }) {
      if (!content.layers[name]) throw new Error(`This page holds no layer ${name}.`);
      return content.layers[name];
    },
    sample({ index }) {
      const point = Array.from(codes.subarray(2 * index, 2 * index + 2));
      const [strip] = strips(look, decoder, [decoder.decode(Float64Array.from(point)).mean]);
      const told = columns.map(({ name, labels = [] }, k) => {
        const value = values[k][index];
        if (labels.length) return [name, labels[value]];
        return [name, Number.isFinite(value) ? value : null];
      });
      return { strip, point, columns: Object.fromEntries(told) };
    },
  };
}

/** @param {ReturnType<typeof createSearch>} search @param {Decoder} decoder
 * @param {import("./shown.js").Look} look @param {number[]} a @param {number[]} b @param {number} n */
function answerPath(search, decoder, look, a, b, n) {
  const begin = performance.now();
  const found = search(a, b);
  const straight = measureCurve(decoder, line(a, b, SEGMENTS), RTOL);
  let measured = found ? measureCurve(decoder, found.nodes, RTOL, found.length) : straight;
  const { imageDim, dataDim } = decoder;
  const ends = picked(straight.decoded.image, imageDim, 2);
  const floor = Math.hypot(...ends.subarray(0, imageDim).map((u, i) => ends[imageDim + i] - u));
  const told = found
    ? tell(found, measured, { straight: straight.length, floor })
    : tellNone(a[0] === b[0] && a[1] === b[1]);
  // What is not certified, and longer than the straight line, gives way to that.
  if (!told.certified && !(measured.length <= straight.length)) measured = straight;
  const means = [measured.decoded.mean, straight.decoded.mean];
  const [geodesic, across] = strips(look, decoder, means.map((rows) => picked(rows, dataDim, n)));
  const steps = means.map((rows) => sizes(rows, dataDim, STEPS));
  return {
    a,
    b,
    geodesic: { points: pointsOf(measured.points), length: finite(measured.length) },
    straight: { length: finite(straight.length) },
    ...told,
    speed_variation: finite(measured.variation),
    images: { geodesic, straight: across },
    steps: { geodesic: steps[0], straight: steps[1] },
    seconds: (performance.now() - begin) / 1000,
  };
}

/** @param {Float64Array} chain */
const pointsOf = (chain) =>
  Array.from({ length: chain.length / 2 }, (_, i) => [chain[2 * i], chain[2 * i + 1]]);

/** @param {number} value */
const finite = (value) => (Number.isFinite(value) ? value : null);

/** Answer the text of a request by a text, as a server does over a socket.
 * @param {Answers | Error} answers or why there are none @param {string} text
 * @returns {string} */
export function respond(answers, text) {
  const { id, type, ...body } = JSON.parse(text);
  try {
    if (answers instanceof Error) throw answers;
    if (!answers[type]) throw new Error("This needs Python: “pullback explore” shows it.");
    return JSON.stringify({ id, type, ...answers[type](body) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return JSON.stringify({ id, type: "error", of: type, message });
  }
}
