// @ts-check
/** The explorer: what the parts of the page are wired to. */

import { askNeighbors, cluster, columnOf, follow, layersOf, scaleOf, words } from "./asking.js";
import { spoken, writePath } from "./certificate.js";
import { createTheme, fill, writeLegend } from "./controls.js";
import { createHandles, createPlane, within } from "./handles.js";
import { keepPaths } from "./keeping.js";
import { createPlanes } from "./planes.js";
import { createSamples } from "./samples.js";
import { createScenery } from "./scenery.js";
import { blank, createStore, onceAFrame, recall, remember } from "./state.js";
import { writeStrips } from "./strips.js";
import { firstEnds } from "./ends.js";
import { zoomed } from "./view.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./link.js").Link} Link */

/** Start the explorer in a page, or in a part of one.
 * @param {Document | ShadowRoot} root where the parts of index.html are
 * @param {Link} link to what answers
 * @returns {Promise<import("./state.js").Store<State>>} */
export async function start(root, link) {
  /** @type {(id: string) => any} */
  const the = (id) => root.querySelector(`#${id}`);
  const store = createStore(blank());
  const host = /** @type {HTMLElement | undefined} */ (/** @type {ShadowRoot} */ (root).host);
  createTheme(the("theme"), host ?? document.documentElement, (theme) => store.set({ theme }));
  const placeHandles = createHandles({ a: the("handle-a"), b: the("handle-b") }, the("plane"), store);
  const scenery = createScenery(store, the("plane"), placeHandles);
  const samples = createSamples(store, link, the);
  const showLayer = layersOf(store, link);
  const complain = (/** @type {unknown} */ error) => store.set({ trouble: words(error) });

  tellConnection(the("connection"), link);
  createPlane(the("plane"), store, { ...samples, limits: scenery.limits });
  listen(store, the);
  follow(store, link);

  /** Clusters that were found, which colour the codes as columns do.
   * @type {Map<string, Pick<State, "colouring" | "centers">>} */
  const found = new Map();
  const showColumn = async (/** @type {string} */ name) => {
    const clusters = found.get(name);
    if (clusters) return store.set(clusters);
    const colouring = await columnOf(store, link, name);
    if (colouring || !name) store.set({ colouring, centers: [] });
  };
  const fillColumns = (/** @type {string} */ chosen) => {
    const columns = store.get().scene?.columns ?? [];
    const names = [...columns.map(({ name }) => name), ...found.keys()];
    fill(the("column"), [...names.map((name) => /** @type {[string, string]} */ ([name, name])), ["", "none"]], chosen);
  };
  const planes = createPlanes(store, link, the, scenery.whole);
  const begin = () => {
    const { codes, colouring, scene } = store.get();
    const { a, b } = firstEnds(codes, colouring);
    store.set({ a: within(a, scene), b: within(b, scene) });
  };

  try {
    const scene = await (await link.get("scene")).json();
    await planes.readCodes(scene);
    const kept = recall(memoryOf(scene)) ?? {};
    const column = kept.column ?? scene.columns[0]?.name ?? "";
    the("balls").disabled = scene.balls === false;
    if (the("balls").disabled) store.set({ around: "Balls are drawn in two dimensions, or over a table." });
    if (scene.alone) standAlone(the, scene.alone);
    fillColumns(column);
    fill(the("layer"), [["", "none"], ...scene.layers.map(titled)], kept.layer ?? "");
    if (kept.axes && String(kept.axes) !== String(scene.axes)) await planes.show(kept.axes).catch(complain);
    await showColumn(the("column").value);
    scenery.whole(); // below the legend
    store.set({ kept: kept.kept ?? [] });
    const isAsKept = kept.a && String(kept.axes) === String(store.get().scene?.axes);
    if (isAsKept) store.set({ a: kept.a, b: kept.b });
    else begin();
    the("title").textContent = scene.title;
    if (!host) document.title = `${scene.title} · pullback explorer`;
    the("welcome").textContent = "";
    showLayer(the("layer").value).catch(complain);
  } catch (error) {
    the("welcome").textContent = words(error);
    return store;
  }

  the("column").addEventListener("change", () => showColumn(the("column").value).catch(complain));
  the("layer").addEventListener("change", () => showLayer(the("layer").value).catch(complain));
  planes.choose(() => {
    begin();
    store.set({ sample: null, neighbors: [] });
    return showLayer(the("layer").value);
  });
  the("clusters").querySelector("form").addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    the("find").disabled = true;
    the("clusters-words").textContent = "Looking for clusters…";
    try {
      const told = await cluster(store, link, Number(the("k").value), the("distance").value);
      the("clusters-words").textContent = told;
      const { colouring, centers } = store.get();
      if (colouring) found.set(colouring.name, { colouring, centers });
      fillColumns(colouring?.name ?? "");
      const { layerName, scene } = store.get();
      if (scaleOf(scene, layerName) === "category") showLayer(layerName, true).catch(complain);
    } catch (error) {
      the("clusters-words").textContent = words(error);
    }
    the("find").disabled = false;
  });
  for (const what of ["balls", "fan"]) {
    the(what).addEventListener("change", () =>
      store.set({ wants: { ...store.get().wants, [what]: the(what).checked } }));
  }
  the("neighbors").addEventListener("change", () =>
    store.set({ wants: { ...store.get().wants, neighbors: the("neighbors").value } }));
  store.on(["sample", "wants"], () => askNeighbors(store, link).catch(complain));
  zoomBy(the, store, scenery);
  keepPaths(the, store, link, { ...scenery, show: planes.show });
  store.on(["a", "b", "kept", "layerName", "colouring", "scene"], onceAFrame(() => {
    const { scene, a, b, kept, layerName } = store.get();
    if (!scene) return;
    const column = the("column").value;
    remember(memoryOf(scene), { a, b, kept, column, layer: layerName, axes: scene.axes });
  }, (run) => void setTimeout(run, 300)));
  return store;
}

/** @param {import("./link.js").Scene} scene */
const memoryOf = (scene) => `pullback:${scene.title}:${scene.n}:${scene.d}`;
/** @param {{name: string, title: string}} layer @returns {[string, string]} */
const titled = ({ name, title }) => [name, title];

/** Offer what a page without Python can do, and say what else there is.
 * @param {(id: string) => any} the @param {string} told */
function standAlone(the, told) {
  for (const id of ["around", "clusters", "to-python"]) the(id).hidden = true;
  the("neighbors").parentElement.hidden = true;
  the("alone").textContent = told;
  the("alone").hidden = false;
}

/** @param {HTMLElement} place @param {Link} link */
function tellConnection(place, link) {
  link.onStatus(({ state, seconds, words: said }) => {
    if (state === "open") place.textContent = "";
    if (state === "refused") place.textContent = said || "The server refused this page.";
    if (state === "waiting") {
      const when = seconds < 1 ? "now" : `in ${seconds} s`;
      const why = said || "Is pullback explore still running?";
      place.textContent = `Not connected: trying again ${when}. ${why}`;
    }
  });
}

/** Write what the state says into the cards. @param {import("./state.js").Store<State>} store
 * @param {(id: string) => any} the */
function listen(store, the) {
  store.on(["colouring", "layer", "layerName", "notice", "scene", "theme"], (state) => writeLegend(the("legend"), state));
  const cards = onceAFrame(() => {
    const { path, trouble, active } = store.get();
    writePath(the("path"), path, trouble);
    writeStrips(the("along"), path);
    the("keep").disabled = !path;
    the("around-point").textContent = active.toUpperCase();
  });
  store.on(["path", "trouble", "active"], cards);
  store.on(["around"], ({ around }) => void (the("around-words").textContent = around));
  let timer = 0;
  store.on(["path", "trouble"], () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      const { path } = store.get();
      the("said").textContent = path ? spoken(path) : "";
    }, 700);
  });
}

/** @param {(id: string) => any} the @param {import("./state.js").Store<State>} store
 * @param {ReturnType<typeof createScenery>} scenery */
function zoomBy(the, store, scenery) {
  const by = (/** @type {number} */ factor) => {
    const { view, size } = store.get();
    store.set({ view: zoomed(view, factor, [size[0] / 2, size[1] / 2], scenery.limits()) });
  };
  the("nearer").addEventListener("click", () => by(1.5));
  the("farther").addEventListener("click", () => by(1 / 1.5));
  the("whole").addEventListener("click", scenery.whole);
}
