// @ts-check
/** The path in words and numbers: lengths, their ratio, and what the certificate says. */

/** @typedef {import("./link.js").Path} Path */

/** A number as one reads it: four digits, a true minus.
 * @param {number | null | undefined} value
 * @returns {string} */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "unknown";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3
    ? value.toExponential(2).replace("e+", " × 10^").replace("e-", " × 10^−")
    : String(Number(value.toPrecision(4)));
  return text.replace(/^-/, "−");
}

/** A length, always in four digits, so that the line does not jump while one drags.
 * @param {number} value
 * @returns {string} */
export function length(value) {
  const isPlain = Number.isFinite(value) && value >= 1e-3 && value < 1e4;
  return isPlain ? value.toPrecision(4) : number(value);
}

/** How much longer the straight line is, in words.
 * @param {number} geodesic
 * @param {number} straight
 * @returns {string} */
export function comparison(geodesic, straight) {
  const ratio = straight / geodesic;
  if (!Number.isFinite(ratio)) return "";
  if (ratio < 1.0005) return "The straight line is as short as the geodesic.";
  if (ratio < 2) {
    return `The straight line is ${number((ratio - 1) * 100)} % longer than the geodesic.`
      .replace(/(\d+\.\d)\d+ %/, "$1 %");
  }
  return `The straight line is ${Number(ratio.toPrecision(2))} times as long as the geodesic.`;
}

/** What a screen reader is told when the handles have come to rest.
 * @param {Path} path
 * @returns {string} */
export function spoken(path) {
  const lengths = `Geodesic ${number(path.geodesic.length)}, straight line ${number(path.straight.length)}.`;
  return `${lengths} ${path.geodesic.words[0] ?? path.geodesic.status}`;
}

/** Write a path into the card that tells of it.
 * @param {HTMLElement} card with parts by `data-part`
 * @param {Path | null} path
 * @param {string} trouble in words, where there is no path */
export function writePath(card, path, trouble) {
  const part = (/** @type {string} */ name) =>
    /** @type {HTMLElement} */ (card.querySelector(`[data-part="${name}"]`));
  part("trouble").textContent = trouble;
  part("trouble").hidden = !trouble;
  part("found").hidden = !path;
  if (!path) return;
  const { geodesic, straight } = path;
  const longest = Math.max(geodesic.length, straight.length) || 1;
  part("geodesic-length").textContent = length(geodesic.length);
  part("straight-length").textContent = length(straight.length);
  part("geodesic-bar").style.width = `${(100 * geodesic.length) / longest}%`;
  part("straight-bar").style.width = `${(100 * straight.length) / longest}%`;
  part("comparison").textContent = comparison(geodesic.length, straight.length);
  const badge = part("badge");
  badge.textContent = path.certified ? "certified" : "not certified";
  badge.className = `badge ${path.certified ? "holds" : "open"}`;
  const [first = geodesic.status, ...others] = geodesic.words;
  part("first").textContent = first;
  part("words").replaceChildren(
    ...others.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}
