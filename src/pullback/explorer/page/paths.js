// @ts-check
/** The kept paths: their list, and how they leave the page: CSV, SVG, PNG and the Python of them. */

import { length, verdict } from "./certificate.js";
import { through, visible } from "./curves.js";
import { lifted } from "./planes.js";
import { matrix, toScreen } from "./view.js";

/** @typedef {import("./state.js").Kept} Kept */
/** @typedef {import("./state.js").State} State */
/** @typedef {import("./view.js").Point} Point */

/** More codes than this are a picture inside of an exported SVG: a viewer would choke on circles. */
const MOST_CIRCLES = 5000;

/** The path that is shown, as it is kept.
 * @param {State} state
 * @param {number} key
 * @returns {Kept | null} */
export function keptOf({ path, a, b, scene }, key) {
  if (!path) return null;
  return {
    key,
    a: lifted(scene, a),
    b: lifted(scene, b),
    axes: scene?.axes ?? [0, 1],
    names: scene?.names ?? ["z1", "z2"],
    points: path.geodesic.points,
    length: path.geodesic.length,
    straight: path.straight.length,
    badge: verdict(path).badge,
    certified: verdict(path).badge === "certified",
    status: path.status,
  };
}

/** A field of CSV, quoted where it must be.
 * @param {string | number | boolean | null} value
 * @returns {string} */
export function field(value) {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The points of paths, a row each: in full precision, so that they can be computed with. A column tells
 * the plane of each, where they were kept in several.
 * @param {Kept[]} kept
 * @returns {string} */
export function toCSV(kept) {
  const planes = kept.map(({ names }) => names.join(" x "));
  const isOne = new Set(planes).size <= 1;
  const rows = kept.flatMap((path, i) =>
    path.points.map(([x, y], j) =>
      [i + 1, j, x, y, path.length, path.straight, path.certified, path.status, ...(isOne ? [] : [planes[i]])]
        .map(field).join(","),
    ),
  );
  const axes = isOne ? (kept[0]?.names ?? ["z1", "z2"]) : ["across", "up"];
  const head = ["path", "point", ...axes, "length", "straight_length", "certified", "status"];
  return [[...head, ...(isOne ? [] : ["plane"])].map(field).join(","), ...rows, ""].join("\r\n");
}

/** A text inside of XML.
 * @param {string} text
 * @returns {string} */
export function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** The plane as it is shown, as an SVG picture that stands alone.
 * @param {{state: State, paint: Uint8Array, colours: {paper: string, ink: string, geodesic: string,
 *   straight: string}, radius: number, heat: string, points: string}} what `heat` and `points` are
 *   pictures as data addresses, or empty; `points` is used where the codes are many
 * @returns {string} */
export function toSVG({ state, paint, colours, radius, heat, points }) {
  const { view, size: [width, height], codes, scene } = state;
  const picture = (/** @type {string} */ address) =>
    address ? `<image href="${address}" width="${width}" height="${height}"/>` : "";
  const many = codes.length / 2 > MOST_CIRCLES;
  const line = (/** @type {string} */ d, /** @type {string} */ colour, /** @type {string} */ more) =>
    `<path d="${d}" fill="none" stroke="${colour}" ${more} vector-effect="non-scaling-stroke"/>`;
  const shown = state.path ? through(state.path.geodesic.points) : "";
  const ends = [["A", state.a], ["B", state.b]].map(([name, point]) => {
    const [x, y] = toScreen(view, /** @type {Point} */ (point)).map((u) => u.toFixed(2));
    return `<circle cx="${x}" cy="${y}" r="9" fill="${colours.geodesic}" stroke="${colours.paper}" stroke-width="2"/>`
      + `<text x="${x}" y="${y}" dy="4" fill="#fff" font-size="11" font-weight="700" text-anchor="middle">${name}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif">`,
    `<title>${escaped(scene?.title ?? "")}</title>`,
    `<desc>${escaped((scene?.names ?? ["z1", "z2"]).join(" (across), "))} (up)</desc>`,
    `<rect width="100%" height="100%" fill="${colours.paper}"/>`,
    picture(heat),
    many ? picture(points) : circles(state, paint, radius),
    `<g transform="${matrix(view)}" stroke-linejoin="round" stroke-linecap="round">`,
    ...visible(state).map((points) => line(through(points), colours.ink, 'stroke-width="1.5"')),
    line(through([state.a, state.b]), colours.straight, 'stroke-width="2" stroke-dasharray="6 5"'),
    shown && line(shown, colours.geodesic, 'stroke-width="3.5"'),
    "</g>",
    ...ends,
    "</svg>",
    "",
  ].join("\n");
}

/** @param {State} state @param {Uint8Array} paint @param {number} radius */
function circles({ view, codes, size: [width, height] }, paint, radius) {
  const made = [];
  for (let i = 0; 2 * i < codes.length; i++) {
    const [x, y] = toScreen(view, [codes[2 * i], codes[2 * i + 1]]);
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const colour = `rgb(${paint.subarray(4 * i, 4 * i + 3).join(",")})`;
    made.push(`<circle cx="${x.toFixed(2)}" cy="${y.toFixed(2)}" r="${radius}" fill="${colour}"/>`);
  }
  return made.join("\n");
}

/** A picture of an SVG text, as PNG.
 * @param {string} svg
 * @param {[number, number]} size
 * @param {number} ratio pixels of the picture to one of the screen
 * @returns {Promise<Blob>} */
export async function toPNG(svg, [width, height], ratio = 2) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(ratio * width), Math.round(ratio * height)];
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("No picture was made."))));
  });
}

/** Hand a file to the user.
 * @param {string} name @param {Blob | string} content @param {string} type */
export function download(name, content, type) {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Write the list of kept paths.
 * @param {HTMLElement} list
 * @param {Kept[]} kept
 * @param {{show: (path: Kept) => void, drop: (path: Kept) => void}} on */
export function writeKept(list, kept, on) {
  const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ act) => {
    const made = document.createElement("button");
    [made.type, made.textContent] = ["button", text];
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  list.replaceChildren(
    ...kept.map((path, i) => {
      const item = document.createElement("li");
      const words = document.createElement("span");
      words.textContent = `${length(path.length)} (straight ${length(path.straight)}), ${path.badge}`;
      item.append(
        words,
        button("Show", `Show path ${i + 1}`, () => on.show(path)),
        button("×", `Remove path ${i + 1}`, () => on.drop(path)),
      );
      return item;
    }),
  );
}
