// @ts-check
/** The card of the kept paths: what its buttons do. */

import { words } from "./asking.js";
import { download, keptOf, toCSV, toPNG, toSVG, writeKept } from "./paths.js";

/** @typedef {import("./state.js").State} State */

/** Let paths be kept, shown again, removed and exported.
 * @param {(id: string) => any} the
 * @param {import("./state.js").Store<State>} store
 * @param {import("./link.js").Link} link
 * @param {ReturnType<typeof import("./scenery.js").createScenery> &
 *   {show: (axes: import("./planes.js").Axes) => Promise<void>}} scenery and what shows a plane */
export function keepPaths(the, store, link, scenery) {
  const write = () => {
    const { kept } = store.get();
    the("kept").hidden = !kept.length;
    writeKept(the("kept").querySelector("ol"), kept, {
      show: async ({ axes, points }) => {
        try {
          if (String(axes) !== String(store.get().scene?.axes)) await scenery.show(axes);
          store.set({ a: points[0], b: points[points.length - 1] });
        } catch (error) {
          store.set({ trouble: words(error) });
        }
      },
      drop: (path) => store.set({ kept: store.get().kept.filter((one) => one !== path) }),
    });
  };
  store.on(["kept"], write);
  write();
  the("keep").addEventListener("click", () => {
    const path = keptOf(store.get(), Date.now());
    if (path) store.set({ kept: [...store.get().kept, path] });
  });
  const picture = () => {
    const style = getComputedStyle(the("plane"));
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const colours = {
      paper: colour("--card"), ink: colour("--ink"), geodesic: colour("--geodesic"), straight: colour("--straight"),
    };
    return toSVG({ state: store.get(), paint: scenery.paint(), colours, radius: scenery.radius(), ...scenery.pictures() });
  };
  const act = (/** @type {string} */ id, /** @type {() => unknown} */ run) =>
    the(id).addEventListener("click", async () => {
      try {
        await run();
      } catch (error) {
        store.set({ trouble: words(error) });
      }
    });
  act("to-csv", () => download("paths.csv", toCSV(store.get().kept), "text/csv"));
  act("to-svg", () => download("paths.svg", picture(), "image/svg+xml"));
  act("to-png", async () => download("paths.png", await toPNG(picture(), store.get().size), "image/png"));
  act("to-python", async () => {
    const { kept } = store.get();
    const paths = kept.map(({ a, b }) => ({ a, b }));
    const plane = kept.some(({ axes }) => axes === "principal") ? "principal" : "axes";
    const answer = await link.ask("python", { paths, plane });
    if (answer) download("paths.py", answer.code, "text/x-python");
  });
}
