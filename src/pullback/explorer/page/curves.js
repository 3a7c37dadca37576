// @ts-check
/** Geodesics, straight lines, balls and fans, in the units of the plane: SVG moves and enlarges them. */

import { matrix, shown, ticks, toScreen } from "./view.js";

/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./state.js").State} State */

const SVG = "http://www.w3.org/2000/svg";

/** A curve through points, as `d` of an SVG path has it. The numbers are exact.
 * @param {Point[]} points
 * @returns {string} */
export function through(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** @param {Element} group @param {Point[][]} curves @param {string} kind */
function refill(group, curves, kind) {
  const classes = { class: kind, "vector-effect": "non-scaling-stroke" };
  group.replaceChildren(...curves.map((points) => element("path", { ...classes, d: through(points) })));
}

/** Draw curves into an SVG element: what changed only.
 * @param {SVGSVGElement} svg with groups by `data-part`
 * @returns {{curves: (state: State) => void, frame: (state: State) => void}} */
export function createCurves(svg) {
  const part = (/** @type {string} */ name) =>
    /** @type {SVGElement} */ (svg.querySelector(`[data-part="${name}"]`));
  return {
    curves(state) {
      const geodesic = state.path ? through(state.path.geodesic.points) : "";
      part("geodesic").setAttribute("d", geodesic);
      part("geodesic-halo").setAttribute("d", geodesic);
      part("straight").setAttribute("d", through([state.a, state.b]));
      part("straight-halo").setAttribute("d", through([state.a, state.b]));
      refill(part("balls"), state.balls, "ball");
      refill(part("fan"), state.fan, "ray");
      refill(part("kept"), visible(state), "kept-path");
    },
    frame(state) {
      part("plane").setAttribute("transform", matrix(state.view));
      part("ticks").replaceChildren(...tickMarks(state));
      part("marks").replaceChildren(...marks(state));
    },
  };
}

/** The kept paths of the plane that is shown.
 * @param {State} state
 * @returns {Point[][]} */
export function visible({ kept, scene }) {
  const axes = String(scene?.axes);
  return kept.filter((path) => String(path.axes) === axes).map(({ points }) => points);
}

/** @param {State} state */
function tickMarks({ view, size: [width, height], scene }) {
  const [low, high] = shown(view, width, height);
  const names = scene?.names ?? ["z1", "z2"];
  const made = [];
  for (const u of ticks(low[0], high[0], width / 110)) {
    const x = toScreen(view, [u, 0])[0];
    if (x < 44 || x > width - 44) continue;
    made.push(element("line", { x1: x, x2: x, y1: height, y2: height - 5 }));
    const text = element("text", { x, y: height - 9, "text-anchor": "middle" });
    text.textContent = String(u).replace("-", "−");
    made.push(text);
  }
  for (const v of ticks(low[1], high[1], height / 90)) {
    const y = toScreen(view, [0, v])[1];
    if (y < 40 || y > height - 34) continue;
    made.push(element("line", { x1: 0, x2: 5, y1: y, y2: y }));
    const text = element("text", { x: 9, y: y + 4 });
    text.textContent = String(v).replace("-", "−");
    made.push(text);
  }
  const across = element("text", { x: width - 12, y: height - 9, "text-anchor": "end", class: "axis" });
  across.textContent = `${names[0]} →`;
  const up = element("text", { x: 9, y: 22, class: "axis" });
  up.textContent = `↑ ${names[1]}`;
  return [...made, across, up];
}

/** Rings about neighbours and the chosen sample, crosses at the centres of clusters.
 * @param {State} state */
function marks({ view, codes, neighbors, sample, centers }) {
  const at = (/** @type {number} */ i) => toScreen(view, [codes[2 * i], codes[2 * i + 1]]);
  const made = neighbors.map((i) => {
    const [cx, cy] = at(i);
    return element("circle", { cx, cy, r: 7, class: "neighbor" });
  });
  if (sample !== null && 2 * sample < codes.length) {
    const [cx, cy] = at(sample);
    made.push(element("circle", { cx, cy, r: 9, class: "chosen" }));
  }
  for (const center of centers) {
    const [x, y] = toScreen(view, center);
    made.push(element("path", { d: `M${x - 7} ${y}H${x + 7}M${x} ${y - 7}V${y + 7}`, class: "center-halo" }));
    made.push(element("path", { d: `M${x - 7} ${y}H${x + 7}M${x} ${y - 7}V${y + 7}`, class: "center" }));
  }
  return made;
}
