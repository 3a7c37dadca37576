// @ts-check
/** What is shown while the server still reads the run and measures its metric: how far it is. */

/** Milliseconds between two looks at how far it is. */
const AGAIN = 400;

/** Wait until there is something to explore.
 * @param {HTMLElement} place where it is shown how far that is
 * @param {(path: string) => Promise<Response>} get
 * @param {(run: () => void, milliseconds: number) => unknown} later
 * @returns {Promise<boolean>} false if it never will be: the page says why */
export async function ready(place, get, later = setTimeout) {
  const before = place.textContent;
  for (;;) {
    try {
      const { waits } = await (await get("scene")).json();
      if (!waits) {
        place.textContent = before;
        return true;
      }
      show(place, waits);
    } catch (error) {
      const told = error instanceof Error ? error.message : String(error);
      place.textContent = `Nothing came of it: its terminal says why (${told}).`;
      return false;
    }
    await new Promise((resolve) => later(() => resolve(null), AGAIN));
  }
}

/** What is being done, in words, and how much of it is left.
 * @param {{what: string, done: number, total: number}} waits
 * @returns {string} */
export function told({ what, done, total }) {
  const begun = what.charAt(0).toUpperCase() + what.slice(1);
  return total ? `${begun}: ${Math.round((100 * done) / total)} % of ${total} points` : `${begun}…`;
}

/** @param {HTMLElement} place @param {{what: string, done: number, total: number}} waits */
function show(place, waits) {
  const [words, bar] = [document.createElement("span"), document.createElement("progress")];
  words.textContent = told(waits);
  if (waits.total) [bar.max, bar.value] = [waits.total, waits.done];
  bar.setAttribute("aria-label", "How far it is");
  place.replaceChildren(words, bar);
}
