// @ts-check
/** What a page that stands alone answers to the requests that a server answers elsewhere. */

import { createDecoder } from "./decoder.js";
import { chordsOf, every, line, measureCurve, SEGMENTS } from "./exact.js";
import { singles } from "./packed.js";
import { createSearch } from "./search.js";
import { picked, sizes, strips } from "./shown.js";
import { createTable } from "./table.js";
import { RTOL, tell, tellNone, tellOnTable } from "./told.js";

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
    path: (body) => answerPath(search, decoder, look, body),
    measure: ({ a, b }) => answerMeasure(search, decoder, a, b),
    layer({ name }) {
      if (!content.layers[name]) throw new Error(`This page holds no layer ${name}.`);
      return content.layers[name];
    },
    sample({ index }) {
      const point = Array.from(codes.subarray(2 * index, 2 * index + 2));
      const [strip] = strips(look, decoder, [decoder.means(Float64Array.from(point), 1)]);
      const told = columns.map(({ name, labels = [] }, k) => {
        const value = values[k][index];
        if (labels.length) return [name, labels[value]];
        return [name, Number.isFinite(value) ? value : null];
      });
      return { strip, point, columns: Object.fromEntries(told) };
    },
  };
}

/** The geodesic as the table has it, and what is decoded along it: as soon as it can be drawn.
 * @param {ReturnType<typeof createSearch>} search @param {Decoder} decoder
 * @param {import("./shown.js").Look} look
 * @param {{a: number[], b: number[], n_images: number}} body */
function answerPath(search, decoder, look, { a, b, n_images: n }) {
  const begin = performance.now();
  const found = search.find(a, b);
  const across = line(a, b, SEGMENTS);
  const along = found ? every(found.nodes, SEGMENTS) : across;
  const means = [along, across].map((way) => decoder.means(every(way, STEPS), STEPS + 1));
  const some = means.map((rows) => picked(rows, decoder.dataDim, n));
  const [geodesic, straight] = strips(look, decoder, some);
  const [own, others] = means.map((rows) => sizes(rows, decoder.dataDim, STEPS));
  const isOnePoint = a[0] === b[0] && a[1] === b[1];
  const [length, direct] = isOnePoint ? [0, 0] : [found?.length ?? NaN, search.lengthOf(across)];
  return {
    a,
    b,
    geodesic: { points: pointsOf(along), length: finite(length) },
    straight: { length: finite(direct) },
    ...(found ? tellOnTable(length, direct) : tellNone(isOnePoint)),
    more: found ? "measure" : "",
    images: { geodesic, straight },
    steps: { geodesic: own, straight: others },
    seconds: (performance.now() - begin) / 1000,
  };
}

/** What the decoder says of the geodesic, as a part of the answer before.
 * @param {ReturnType<typeof createSearch>} search @param {Decoder} decoder @param {number[]} a
 * @param {number[]} b */
function answerMeasure(search, decoder, a, b) {
  const begin = performance.now();
  const found = search.find(a, b);
  if (!found) throw new Error("There is no way on the table to be measured.");
  const straight = measureCurve(decoder, line(a, b, SEGMENTS), RTOL).length;
  const measured = measureCurve(decoder, found.nodes, RTOL, found.length);
  const ends = decoder.images(Float64Array.from([...a, ...b]), 2);
  const [floor] = chordsOf(ends, decoder.imageDim, 1);
  return {
    geodesic: { length: finite(measured.length) },
    straight: { length: finite(straight) },
    ...tell(found, measured, { straight, floor }),
    speed_variation: finite(measured.variation),
    more: "",
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
