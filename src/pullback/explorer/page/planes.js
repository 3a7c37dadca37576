// @ts-check
/** The plane that is shown: two axes, or the two principal geodesics, and what chooses it. */

import { words } from "./asking.js";
import { fill } from "./controls.js";
import { NOWHERE } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./link.js").Scene} Scene */
/** @typedef {number[] | "principal"} Axes */

/** What an answer says of a plane, and the scene holds. */
const TOLD = ["axes", "names", "box", "outline", "origin", "basis", "words"];

/** What shows planes.
 * @param {import("./state.js").Store<State>} store
 * @param {import("./link.js").Link} link
 * @param {(id: string) => any} the
 * @param {() => void} whole shows all codes
 * @returns {{readCodes: (scene: Scene) => Promise<void>, show: (axes: Axes) => Promise<void>,
 *   choose: (changed: () => unknown) => void}} */
export function createPlanes(store, link, the, whole) {
  /** Read the codes of the plane that the scene names, and show all of them.
   * @param {Scene} scene */
  const readCodes = async (scene) => {
    const codes = new Float32Array(await (await link.get(`codes?axes=${scene.axes}`)).arrayBuffer());
    store.set({ codes, scene, a: NOWHERE, b: NOWHERE, balls: [], fan: [], centers: [], path: null });
    whole();
    write(the, scene);
  };
  /** Tell the server of a plane. The principal geodesics are searched at the first time.
   * @param {Axes} axes */
  const tell = async (axes) => {
    if (axes === "principal") {
      store.set({ notice: "Finding the mean of the codes and its principal geodesics…" });
      try {
        if (!(await link.ask("principal"))) return null;
      } finally {
        store.set({ notice: "" });
      }
    }
    return link.ask("plane", { axes });
  };
  /** @param {Axes} axes */
  const show = async (axes) => {
    const answer = await tell(axes);
    const { scene } = store.get();
    if (!scene || !answer) return;
    await readCodes({ ...scene, ...Object.fromEntries(TOLD.map((name) => [name, answer[name]])) });
  };
  link.onStatus(({ state }) => { // a new socket has to be told of the plane again
    const axes = store.get().scene?.axes;
    if (state !== "open" || !axes || String(axes) === "0,1") return;
    void tell(axes).catch((error) => store.set({ trouble: words(error) }));
  });
  return {
    readCodes,
    show,
    choose(changed) {
      const go = async (/** @type {Axes} */ axes) => {
        the("plane-kind").disabled = true;
        try {
          await show(axes);
          await changed();
        } catch (error) {
          store.set({ trouble: words(error) });
        }
        the("plane-kind").disabled = false;
        const { scene } = store.get();
        if (scene) write(the, scene); // what is shown: the one of before, if there was an error
      };
      the("plane-kind").addEventListener("change", () =>
        go(the("plane-kind").value === "principal" ? "principal" : [0, 1]));
      for (const i of [0, 1]) {
        the(`axis-${i}`).addEventListener("change", () => {
          const axes = [0, 1].map((k) => Number(the(`axis-${k}`).value));
          const before = store.get().scene?.axes ?? axes;
          if (axes[0] === axes[1]) axes[1 - i] = Number(before[i]); // the two change places
          return go(axes);
        });
      }
    },
  };
}

/** Write which plane is shown into its choosers. @param {(id: string) => any} the @param {Scene} scene */
function write(the, scene) {
  const { axes, d } = scene;
  the("axes").hidden = d <= 2;
  const options = Array.from({ length: d }, (_, i) =>
    /** @type {[string, string]} */ ([String(i), `z${i + 1}`]));
  the("plane-kind").value = axes === "principal" ? axes : "axes";
  for (const i of [0, 1]) {
    the(`axis-${i}`).parentElement.hidden = axes === "principal";
    if (axes !== "principal") fill(the(`axis-${i}`), options, String(axes[i]));
  }
  the("plane-words").textContent = (scene.words ?? []).join(" ");
}

/** A point of the plane with all its d coordinates.
 * @param {Scene | null} scene
 * @param {import("./view.js").Point} point
 * @returns {number[]} */
export function lifted(scene, [u, v]) {
  if (!scene?.origin || !scene.basis || scene.d <= 2) return [u, v];
  const [across, up] = scene.basis;
  return scene.origin.map((x, k) => x + u * across[k] + v * up[k]);
}

/** The foot on the plane of a point with all its d coordinates.
 * @param {Scene | null} scene
 * @param {number[]} z
 * @returns {import("./view.js").Point} */
export function foot(scene, z) {
  if (!scene?.origin || !scene.basis || scene.d <= 2) return [z[0], z[1]];
  const { origin, basis: [p, q] } = scene;
  const away = z.map((value, k) => value - origin[k]);
  const [pp, pq, qq, pz, qz] = [dot(p, p), dot(p, q), dot(q, q), dot(p, away), dot(q, away)];
  const size = pp * qq - pq * pq;
  return [(qq * pz - pq * qz) / size, (pp * qz - pq * pz) / size];
}

/** @param {number[]} x @param {number[]} y */
const dot = (x, y) => x.reduce((sum, value, k) => sum + value * y[k], 0);
