// @ts-check
/** Where the handles begin: at codes that have something between them. */

/** @typedef {import("./view.js").Point} Point */

/** The code nearest to the mean of some codes.
 * @param {Float32Array} codes
 * @param {number[]} members
 * @returns {Point} */
function middle(codes, members) {
  const mean = [0, 1].map((k) => members.reduce((sum, i) => sum + codes[2 * i + k], 0) / members.length);
  const far = (/** @type {number} */ i) => Math.hypot(codes[2 * i] - mean[0], codes[2 * i + 1] - mean[1]);
  const best = members.reduce((near, i) => (far(i) < far(near) ? i : near), members[0]);
  return [codes[2 * best], codes[2 * best + 1]];
}

/** The two classes whose middles lie farthest apart give the ends; without classes, the left and the
 * right half of the codes do.
 * @param {Float32Array} codes
 * @param {import("./state.js").Colouring | null} colouring
 * @returns {{a: Point, b: Point}} */
export function firstEnds(codes, colouring) {
  const n = codes.length / 2;
  if (!n) return { a: [0, 0], b: [1, 0] };
  /** @type {Map<number, number[]>} */
  const groups = new Map();
  const add = (/** @type {number} */ key, /** @type {number} */ i) => {
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  };
  const middleX = Array.from({ length: n }, (_, i) => codes[2 * i]).sort((x, y) => x - y)[n >> 1];
  for (let i = 0; i < n; i++) {
    const v = colouring?.kind === "category" ? colouring.values[i] : Number(codes[2 * i] >= middleX);
    if (v !== null && v !== undefined && v >= 0) add(v, i);
  }
  const middles = [...groups.values()].map((members) => middle(codes, members));
  let [a, b] = [middles[0], middles[1] ?? [codes[0], codes[1]]];
  let most = -1;
  for (const p of middles) {
    for (const q of middles) {
      const apart = Math.hypot(p[0] - q[0], p[1] - q[1]);
      if (p[0] <= q[0] && apart > most) [a, b, most] = [p, q, apart];
    }
  }
  if (!(most > 0)) b = [codes[0] === a[0] ? codes[2 * n - 2] : codes[0], codes[1] === a[1] ? codes[2 * n - 1] : codes[1]];
  return { a, b };
}
