// @ts-check
/** The codes as points: by WebGL2 in one call, or on a plain canvas where there is none. */

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./view.js").Point} Point */
/** @typedef {{setCodes: (codes: Float32Array) => void, setPaint: (paint: Uint8Array) => void,
 *   draw: (view: View, size: [number, number], ring: [number, number, number]) => void,
 *   kind: "webgl2" | "canvas"}} Cloud */

const VERTEX = `#version 300 es
in vec2 code;
in vec4 paint;
uniform vec2 scale, shift;
uniform float size;
flat out vec3 colour;
flat out int shape;
void main() {
  gl_Position = vec4(code * scale + shift, 0, 1);
  gl_PointSize = size;
  colour = paint.rgb / 255.0;
  shape = int(paint.a + 0.5);
}`;

// Each marker is where its function is negative; p runs from -1 to 1 over the point, y downwards.
const FRAGMENT = `#version 300 es
precision mediump float;
flat in vec3 colour;
flat in int shape;
uniform vec3 ring;
uniform float edge, alpha, strength;
out vec4 pixel;
float plus(vec2 p) {
  p = abs(p);
  return min(max(p.x - 0.95, p.y - 0.36), max(p.y - 0.95, p.x - 0.36));
}
float inside(vec2 p) {
  if (shape == 1) return max(abs(p.x), abs(p.y)) - 0.78;
  if (shape == 2) return max(p.y - 0.66, 0.88 * abs(p.x) - 0.48 * p.y - 0.44);
  if (shape == 3) return 0.72 * (abs(p.x) + abs(p.y)) - 0.7;
  if (shape == 4) return max(-p.y - 0.66, 0.88 * abs(p.x) + 0.48 * p.y - 0.44);
  if (shape == 5) return plus(p);
  if (shape == 6) return plus(0.7071 * vec2(p.x + p.y, p.x - p.y));
  if (shape == 7) return length(p) - 0.66 - 0.26 * cos(5.0 * atan(p.x, -p.y));
  return length(p) - 0.9;
}
void main() {
  float d = inside(2.0 * gl_PointCoord - 1.0);
  float cover = 1.0 - smoothstep(-edge, edge, d - edge);
  if (cover < 0.01) discard;
  float rim = smoothstep(-2.6 * edge, -1.2 * edge, d);
  pixel = vec4(mix(colour, ring, rim * strength), 1) * cover * alpha;
}`;

/** How wide a code is drawn, in pixels: fewer codes are larger, and all grow as one comes nearer.
 * @param {number} n
 * @param {number} nearer how much larger the plane is than when all of it is shown
 * @returns {number} */
export function sizeOf(n, nearer) {
  const plain = Math.min(Math.max(32 / Math.max(n, 1) ** 0.18, 3), 11);
  return Math.min(plain * Math.max(nearer, 0.5) ** 0.35, 16);
}

/** Draw codes on a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {() => number} nearer see `sizeOf`
 * @returns {Cloud} */
export function createCloud(canvas, nearer) {
  const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
  return gl ? shaded(canvas, gl, nearer) : plain(canvas, nearer);
}

/** @param {WebGL2RenderingContext} gl @param {number} kind @param {string} source */
function compiled(gl, kind, source) {
  const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  return shader;
}

/** @param {HTMLCanvasElement} canvas @param {WebGL2RenderingContext} gl
 * @param {() => number} nearer @returns {Cloud} */
function shaded(canvas, gl, nearer) {
  const program = gl.createProgram();
  const buffers = { code: gl.createBuffer(), paint: gl.createBuffer() };
  let n = 0;
  /** @type {Record<string, ArrayBufferView<ArrayBuffer>>} */
  const held = {};

  function build() {
    gl.attachShader(program, compiled(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compiled(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw new Error(gl.getProgramInfoLog(program) ?? "The shader of the codes does not link.");
    }
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** @param {"code" | "paint"} name @param {ArrayBufferView<ArrayBuffer>} data @param {number} width
   * @param {number} type */
  function upload(name, data, width, type) {
    const at = gl.getAttribLocation(program, name);
    held[name] = data;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, type, false, 0, 0);
  }

  build();
  const at = (/** @type {string} */ name) => gl.getUniformLocation(program, name);
  return {
    kind: "webgl2",
    setCodes(codes) {
      n = codes.length / 2;
      upload("code", /** @type {Float32Array<ArrayBuffer>} */ (codes), 2, gl.FLOAT);
    },
    setPaint: (paint) =>
      upload("paint", /** @type {Uint8Array<ArrayBuffer>} */ (paint), 4, gl.UNSIGNED_BYTE),
    draw(view, [width, height], ring) {
      const size = sizeOf(n, nearer()) * (canvas.width / width);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      if (!held.code || !held.paint || held.paint.byteLength !== 4 * n) return;
      gl.useProgram(program);
      gl.uniform2f(at("scale"), (2 * view.scale) / width, (2 * view.scale) / height);
      gl.uniform2f(at("shift"), (2 * view.x) / width - 1, 1 - (2 * view.y) / height);
      gl.uniform1f(at("size"), size);
      gl.uniform1f(at("edge"), 1 / size);
      gl.uniform1f(at("strength"), n > 5000 ? 0 : 0.55); // a rim would be all that is seen of small points
      gl.uniform1f(at("alpha"), n > 20000 ? 0.7 : 0.92);
      gl.uniform3f(at("ring"), ring[0] / 255, ring[1] / 255, ring[2] / 255);
      gl.drawArrays(gl.POINTS, 0, n);
    },
  };
}

/** @param {HTMLCanvasElement} canvas @param {() => number} nearer @returns {Cloud} */
function plain(canvas, nearer) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let codes = new Float32Array(0);
  let paint = new Uint8Array(0);
  return {
    kind: "canvas",
    setCodes: (given) => void (codes = new Float32Array(given)),
    setPaint: (given) => void (paint = new Uint8Array(given)),
    draw(view, [width]) {
      const ratio = canvas.width / width;
      const size = sizeOf(codes.length / 2, nearer()) * ratio * 0.85;
      context.clearRect(0, 0, canvas.width, canvas.height);
      for (let i = 0; 4 * i < paint.length; i++) {
        const x = ratio * (view.x + view.scale * codes[2 * i]);
        const y = ratio * (view.y - view.scale * codes[2 * i + 1]);
        context.fillStyle = `rgb(${paint[4 * i]} ${paint[4 * i + 1]} ${paint[4 * i + 2]})`;
        context.fillRect(x - size / 2, y - size / 2, size, size);
      }
    },
  };
}
