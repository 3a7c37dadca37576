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
    ? value.toExponential(2).replace(/e([+-])(\d+)/, (_, sign, digits) => ` × 10${sign === "-" ? "⁻" : ""}${raised(digits)}`)
    : String(Number(value.toPrecision(4)));
  return text.replace(/^-/, "−");
}

/** Digits as an exponent has them. @param {string} digits */
const raised = (digits) => digits.replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]);

/** A length, always in four digits, so that the line does not jump while one drags.
 * @param {number | null} value
 * @returns {string} */
export function length(value) {
  const isPlain = value !== null && Number.isFinite(value) && value >= 1e-3 && value < 1e4;
  return isPlain ? value.toPrecision(4) : number(value);
}

/** How much longer the straight line is, in words.
 * @param {number | null} geodesic
 * @param {number | null} straight
 * @returns {string} */
export function comparison(geodesic, straight) {
  if (!geodesic || straight === null || !Number.isFinite(straight)) return "";
  const ratio = straight / geodesic;
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
  return `${lengths} ${path.words[0] ?? path.status}`;
}

/** The badge of a path, and what its certificate says first, without saying it twice.
 * @param {Path} path
 * @returns {{badge: string, kind: string, first: string}} */
export function verdict({ certified, words, status }) {
  if (status === "on_table") return { badge: "on the table", kind: "open", first: words[0] };
  const [, said, rest = ""] = /^(Certified|Not certified)[:.]? *(.*)$/s.exec(words[0] ?? "") ?? [];
  const first = said ? rest.charAt(0).toUpperCase() + rest.slice(1) : (words[0] ?? status);
  if (!certified) return { badge: "not certified", kind: "open", first };
  if (words.length && !said) return { badge: "with a doubt", kind: "open", first };
  return { badge: "certified", kind: "holds", first };
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
  part("waits").hidden = Boolean(path || trouble);
  if (!path) return;
  const { geodesic, straight } = path;
  const lengths = [geodesic.length ?? 0, straight.length ?? 0];
  const longest = Math.max(...lengths) || 1;
  part("geodesic-length").textContent = length(geodesic.length);
  part("straight-length").textContent = length(straight.length);
  part("geodesic-bar").style.width = `${(100 * lengths[0]) / longest}%`;
  part("straight-bar").style.width = `${(100 * lengths[1]) / longest}%`;
  part("comparison").textContent = comparison(geodesic.length, straight.length);
  const badge = part("badge");
  const told = verdict(path);
  badge.textContent = told.badge;
  badge.className = `badge ${told.kind}`;
  part("first").textContent = told.first;
  const others = path.words.slice(1);
  part("words").parentElement?.toggleAttribute("hidden", !others.length);
  part("words").replaceChildren(
    ...others.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}
