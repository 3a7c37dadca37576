// @ts-check
/** The table of a metric in the plane: the squared length q = v'Mv of a vector, and its derivatives.
 *
 * The table is a cubic B-spline of p = log D_1, r = log D_2 and c = L_21 with M = L D L', so that
 * q(z, v) = e^p (v_1 + c v_2)^2 + e^r v_2^2: whatever is read is positive definite.
 */

/** @typedef {{low: number[], high: number[], margin: number[], inverseStep: number[],
 *   cells: number[], coefficients: Float64Array}} Table `coefficients` hold p, r and c in turn, for
 *   each place along the first axis those along the second one. */

/** What was read at a point, in one array, for these are the innermost loops. The places are where a
 * gradient of two numbers, or a matrix of four, begins: */
export const DZ = 0; // dq / dz
export const DV = 2; // dq / dv
export const ZZ = 4; // d^2 q / dz dz
export const VZ = 8; // d^2 q / dv dz, the vector first
export const M = 12; // M(z)
const [Z, V, FIRST, SECOND, SIZE] = [16, 18, 20, 32, 44];

/** The table as it is searched, from what an export holds.
 * @param {{low: number[], high: number[], margin: number[], shape: number[]}} told `shape` counts the
 *   coefficients along each axis
 * @param {Float32Array | Float64Array} coefficients
 * @returns {Table} */
export function createTable({ low, high, margin, shape }, coefficients) {
  const cells = shape.map((n) => n - 3);
  const inverseStep = cells.map((n, a) => n / (high[a] - low[a]));
  return { low, high, margin, inverseStep, cells, coefficients: Float64Array.from(coefficients) };
}

/** Room for what is read off a table.
 * @returns {Float64Array} */
export const newForm = () => new Float64Array(SIZE);

/** Whether the table alone answers at a point: near its edge the exact metric does, which is not here.
 * @param {Table} table @param {number} x @param {number} y
 * @returns {boolean} */
export function covers({ low, high, margin }, x, y) {
  return low[0] + margin[0] <= x && x <= high[0] - margin[0]
    && low[1] + margin[1] <= y && y <= high[1] - margin[1];
}

/** The cell of x; writes the four B-splines around it into f: values, slopes, bends.
 * @param {Table} table @param {0 | 1} axis @param {number} x @param {Float64Array} f
 * @param {number} at @param {number} order
 * @returns {number} */
function place(table, axis, x, f, at, order) {
  const h = table.inverseStep[axis];
  const u = (x - table.low[axis]) * h;
  const cell = Math.min(Math.max(Math.trunc(u), 0), table.cells[axis] - 1);
  const t = u - cell;
  const s = 1 - t;
  f[at] = (s * s * s) / 6;
  f[at + 1] = (4 + t * t * (3 * t - 6)) / 6;
  f[at + 2] = (4 + s * s * (3 * s - 6)) / 6;
  f[at + 3] = (t * t * t) / 6;
  if (order > 0) {
    f[at + 4] = -0.5 * s * s * h;
    f[at + 5] = t * (1.5 * t - 2) * h;
    f[at + 6] = -s * (1.5 * s - 2) * h;
    f[at + 7] = 0.5 * t * t * h;
  }
  if (order > 1) {
    f[at + 8] = s * h * h;
    f[at + 9] = (3 * t - 2) * h * h;
    f[at + 10] = (3 * s - 2) * h * h;
    f[at + 11] = t * h * h;
  }
  return cell;
}

/** Read q at a point for a vector, with derivatives up to an order: 1 brings `DZ`, `DV`, `VZ` and `M`,
 * 2 brings `ZZ` too.
 * @param {Table} table @param {number} order
 * @param {number} x @param {number} y the point @param {number} v @param {number} w the vector
 * @param {Float64Array} f
 * @returns {number} */
export function read(table, order, x, y, v, w, f) {
  f[Z] = x;
  f[Z + 1] = y;
  f[V] = v;
  f[V + 1] = w;
  const i = place(table, 0, x, f, FIRST, order);
  const j = place(table, 1, y, f, SECOND, order);
  if (order === 0) return value(table, i, j, f);
  return order === 1 ? slopes(table, i, j, f) : bends(table, i, j, f);
}

/** @param {Table} table @param {number} i @param {number} j @param {Float64Array} f */
function value({ coefficients: C, cells }, i, j, f) {
  const width = 3 * (cells[1] + 3);
  let [p, r, c] = [0, 0, 0];
  for (let k = 0; k < 4; k++) {
    let [pa, ra, ca] = [0, 0, 0];
    for (let m = 0, at = (i + k) * width + 3 * j; m < 4; m++, at += 3) {
      const u = f[SECOND + m];
      pa += u * C[at];
      ra += u * C[at + 1];
      ca += u * C[at + 2];
    }
    const u = f[FIRST + k];
    p += u * pa;
    r += u * ra;
    c += u * ca;
  }
  const [y, t] = [f[V] + c * f[V + 1], f[V + 1]];
  return Math.exp(p) * y * y + Math.exp(r) * t * t;
}

/** @param {Table} table @param {number} i @param {number} j @param {Float64Array} f */
function slopes({ coefficients: C, cells }, i, j, f) {
  const width = 3 * (cells[1] + 3);
  let [p, p1, p2, r, r1, r2, c, c1, c2] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < 4; k++) {
    let [pa, pb, ra, rb, ca, cb] = [0, 0, 0, 0, 0, 0];
    for (let m = 0, at = (i + k) * width + 3 * j; m < 4; m++, at += 3) {
      const [u, du] = [f[SECOND + m], f[SECOND + 4 + m]];
      pa += u * C[at];
      pb += du * C[at];
      ra += u * C[at + 1];
      rb += du * C[at + 1];
      ca += u * C[at + 2];
      cb += du * C[at + 2];
    }
    const [u, du] = [f[FIRST + k], f[FIRST + 4 + k]];
    p += u * pa;
    p1 += du * pa;
    p2 += u * pb;
    r += u * ra;
    r1 += du * ra;
    r2 += u * rb;
    c += u * ca;
    c1 += du * ca;
    c2 += u * cb;
  }
  return first(Math.exp(p), Math.exp(r), c, p1, p2, r1, r2, c1, c2, f);
}

/** @param {Table} table @param {number} i @param {number} j @param {Float64Array} f */
function bends({ coefficients: C, cells }, i, j, f) {
  const width = 3 * (cells[1] + 3);
  let [p, p1, p2, p11, p12, p22] = [0, 0, 0, 0, 0, 0];
  let [r, r1, r2, r11, r12, r22] = [0, 0, 0, 0, 0, 0];
  let [c, c1, c2, c11, c12, c22] = [0, 0, 0, 0, 0, 0];
  for (let k = 0; k < 4; k++) {
    let [pa, pb, pc, ra, rb, rc, ca, cb, cc] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (let m = 0, at = (i + k) * width + 3 * j; m < 4; m++, at += 3) {
      const [u, du, ddu] = [f[SECOND + m], f[SECOND + 4 + m], f[SECOND + 8 + m]];
      const [x0, x1, x2] = [C[at], C[at + 1], C[at + 2]];
      pa += u * x0;
      pb += du * x0;
      pc += ddu * x0;
      ra += u * x1;
      rb += du * x1;
      rc += ddu * x1;
      ca += u * x2;
      cb += du * x2;
      cc += ddu * x2;
    }
    const [u, du, ddu] = [f[FIRST + k], f[FIRST + 4 + k], f[FIRST + 8 + k]];
    p += u * pa;
    p1 += du * pa;
    p2 += u * pb;
    p11 += ddu * pa;
    p12 += du * pb;
    p22 += u * pc;
    r += u * ra;
    r1 += du * ra;
    r2 += u * rb;
    r11 += ddu * ra;
    r12 += du * rb;
    r22 += u * rc;
    c += u * ca;
    c1 += du * ca;
    c2 += u * cb;
    c11 += ddu * ca;
    c12 += du * cb;
    c22 += u * cc;
  }
  const [scale, other] = [Math.exp(p), Math.exp(r)];
  const [y, t] = [f[V] + c * f[V + 1], f[V + 1]];
  const [n, m, g, e] = [scale * y * y, other * t * t, 2 * scale * y * t, 2 * scale * t * t];
  f[ZZ] = n * (p1 * p1 + p11) + g * (2 * p1 * c1 + c11) + e * c1 * c1 + m * (r1 * r1 + r11);
  f[ZZ + 1] = n * (p1 * p2 + p12) + g * (p1 * c2 + p2 * c1 + c12) + e * c1 * c2 + m * (r1 * r2 + r12);
  f[ZZ + 2] = f[ZZ + 1];
  f[ZZ + 3] = n * (p2 * p2 + p22) + g * (2 * p2 * c2 + c22) + e * c2 * c2 + m * (r2 * r2 + r22);
  return first(scale, other, c, p1, p2, r1, r2, c1, c2, f);
}

/** Fill in first derivatives, `VZ` and M of q = scale (v_1 + c v_2)^2 + other v_2^2.
 * @param {number} scale @param {number} other @param {number} c @param {number} p1 @param {number} p2
 * @param {number} r1 @param {number} r2 @param {number} c1 @param {number} c2 @param {Float64Array} f */
function first(scale, other, c, p1, p2, r1, r2, c1, c2, f) {
  const [y, t] = [f[V] + c * f[V + 1], f[V + 1]];
  const [g, h] = [scale * y, other * t];
  f[DZ] = g * y * p1 + 2 * g * t * c1 + h * t * r1;
  f[DZ + 1] = g * y * p2 + 2 * g * t * c2 + h * t * r2;
  f[DV] = 2 * g;
  f[DV + 1] = 2 * (g * c + h);
  f[VZ] = 2 * (g * p1 + scale * c1 * t);
  f[VZ + 1] = 2 * (g * p2 + scale * c2 * t);
  f[VZ + 2] = f[VZ] * c + 2 * g * c1 + 2 * h * r1;
  f[VZ + 3] = f[VZ + 1] * c + 2 * g * c2 + 2 * h * r2;
  f[M] = scale;
  f[M + 1] = f[M + 2] = scale * c;
  f[M + 3] = scale * c * c + other;
  return g * y + h * t;
}
