// @ts-check
/** The explorer in a cell of a notebook, whose points Python reads and moves. */

import { within } from "../handles.js";
import { start } from "../main.js";
import { foot } from "../planes.js";
import { linkToKernel } from "./link.js";

/** @typedef {import("../state.js").Store<import("../state.js").State>} Store */
/** @typedef {import("./link.js").Ends} Ends */

/** Show the explorer in a cell.
 * @param {{model: import("./link.js").Model, el: HTMLElement}} given as anywidget gives them
 * @returns {() => void} ends it */
export function render({ model, el }) {
  const host = document.createElement("div");
  host.dataset.lmSuppressShortcuts = "true"; // arrow keys move points, and no cells of JupyterLab
  el.append(host);
  const root = host.attachShadow({ mode: "open" });
  const { html, css } = model.get("_page");
  root.innerHTML = `<style>${css}</style><div class="cell">${html}</div>`;

  /** @type {Store | null} */
  let store = null;
  let isFollowed = false;
  const link = linkToKernel(model, {
    moved(ends) {
      if (!store) return;
      move(store, ends);
      if (!isFollowed) follow(store, link);
      isFollowed = true;
    },
  });
  void start(root, link).then((started) => {
    store = started;
    link.tell({ ready: true }); // Python answers where its points are
  });
  return () => link.close();
}

/** Tell Python where the points are, from now on.
 * @param {Store} store @param {import("./link.js").KernelLink} link */
function follow(store, link) {
  const tell = () => {
    const path = /** @type {any} */ (store.get().path);
    if (path) link.tell({ at: { a: path.a, b: path.b } });
  };
  store.on(["path"], tell);
  tell();
}

/** Move handles to where Python put the points: to their feet, on a plane of more dimensions.
 * @param {Store} store @param {Ends} ends */
function move(store, ends) {
  const { scene } = store.get();
  for (const name of /** @type {("a" | "b")[]} */ (["a", "b"])) {
    const point = ends[name];
    if (point) store.set({ [name]: within(foot(scene, point), scene) });
  }
}
