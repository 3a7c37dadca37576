// @ts-check
/** Arrays as an export holds them: base64 of their bytes, little-endian, row by row. */

import { bytesOf } from "../link.js";

/** @typedef {{kind: "<f4" | "<f8", shape: number[], data: string}} Packed */

/** The numbers of an array, in double precision.
 * @param {Packed} packed
 * @returns {Float64Array} */
export function unpacked({ kind, data }) {
  const { buffer } = bytesOf(data);
  return kind === "<f8" ? new Float64Array(buffer) : Float64Array.from(new Float32Array(buffer));
}

/** Numbers in single precision, of which only the bytes are given as base64.
 * @param {string} text
 * @returns {Float32Array} */
export const singles = (text) => new Float32Array(bytesOf(text).buffer);

/** Bytes as base64.
 * @param {Uint8Array} bytes
 * @returns {string} */
export function encoded(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
}
