// @ts-check
/** What the tests run in node: decoders as pages hold them, at points. */

import { createDecoder } from "../../../src/pullback/explorer/page/alone/decoder.js";

const read = (/** @type {number} */ k) =>
  JSON.parse(require("node:fs").readFileSync(process.argv[2 + k], "utf8"));
const points = Float64Array.from(read(1).flat());
const found = read(0).map((/** @type {import("../../../src/pullback/explorer/page/alone/decoder.js").Model} */ model) => {
  const { means, images } = createDecoder(model);
  return [means, images].map((map) => Array.from(map(points, points.length / 2)));
});
process.stdout.write(JSON.stringify(found));
