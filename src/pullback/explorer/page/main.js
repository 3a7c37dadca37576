// @ts-check
/** The explorer: what the parts of the page are wired to. */

import { askNeighbors, cluster, columnOf, follow, layersOf, words } from "./asking.js";
import { spoken, writePath } from "./certificate.js";
import { createTheme, fill, writeLegend } from "./controls.js";
import { createHandles, createPlane } from "./handles.js";
import { linkToServer } from "./link.js";
import { download, keptOf, toCSV, toPNG, toSVG, writeKept } from "./paths.js";
import { createSamples } from "./samples.js";
import { createScenery } from "./scenery.js";
import { blank, createStore, onceAFrame, recall, remember } from "./state.js";
import { writeStrips } from "./strips.js";
import { firstEnds } from "./ends.js";
import { zoomed } from "./view.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./link.js").Link} Link */

/** Start the explorer in a page.
 * @param {ParentNode} root where the parts of index.html are
 * @param {Link} link to what answers
 * @returns {Promise<import("./state.js").Store<State>>} */
export async function start(root, link) {
  /** @type {(id: string) => any} */
  const the = (id) => root.querySelector(`#${id}`);
  const store = createStore(blank());
  createTheme(the("theme"), (theme) => store.set({ theme }));
  const placeHandles = createHandles({ a: the("handle-a"), b: the("handle-b") }, the("plane"), store);
  const scenery = createScenery(store, the("plane"), placeHandles);
  const samples = createSamples(store, link, the);
  const showLayer = layersOf(store, link);
  const complain = (/** @type {unknown} */ error) => store.set({ trouble: words(error) });

  tellConnection(the("connection"), link);
  createPlane(the("plane"), store, { ...samples, limits: scenery.limits });
  listen(store, the);
  follow(store, link);

  const showColumn = async (/** @type {string} */ name) => {
    const colouring = await columnOf(store, link, name);
    if (colouring || !name) store.set({ colouring, centers: [] });
  };
  /** Read the codes of the plane that the scene names, and show all of them. */
  const readCodes = async (/** @type {import("./link.js").Scene} */ scene) => {
    const codes = new Float32Array(await (await link.get("codes")).arrayBuffer());
    store.set({ codes, scene, balls: [], fan: [], centers: [], path: null });
    scenery.whole();
  };

  try {
    const scene = await (await link.get("scene")).json();
    await readCodes(scene);
    const kept = recall(memoryOf(scene)) ?? {};
    const column = kept.column ?? scene.columns[0]?.name ?? "";
    fill(the("column"), [...scene.columns.map(named), ["", "none"]], column);
    fill(the("layer"), [["", "none"], ...scene.layers.map(titled)], kept.layer ?? "");
    chooseAxes(the, scene);
    await showColumn(the("column").value);
    const isPlane = !kept.axes || String(kept.axes) === String(scene.axes);
    const { a, b } = isPlane && kept.a ? kept : firstEnds(store.get().codes, store.get().colouring);
    store.set({ a, b, kept: kept.kept ?? [], view: (isPlane && kept.view) || store.get().view });
    the("title").textContent = scene.title;
    document.title = `${scene.title} · pullback explorer`;
    the("welcome").textContent = "";
    showLayer(the("layer").value).catch(complain);
  } catch (error) {
    the("welcome").textContent = words(error);
    return store;
  }

  the("column").addEventListener("change", () => showColumn(the("column").value).catch(complain));
  the("layer").addEventListener("change", () => showLayer(the("layer").value).catch(complain));
  for (const axis of ["axis-0", "axis-1"]) {
    the(axis).addEventListener("change", async () => {
      const axes = [Number(the("axis-0").value), Number(the("axis-1").value)];
      const { scene } = store.get();
      if (!scene || axes[0] === axes[1]) return;
      try {
        const answer = await link.ask("plane", { axes });
        if (!answer) return;
        await readCodes({ ...scene, axes: answer.axes, box: answer.box });
        store.set({ ...firstEnds(store.get().codes, store.get().colouring), sample: null, neighbors: [] });
        await showLayer(the("layer").value);
      } catch (error) {
        complain(error);
      }
    });
  }
  the("clusters").querySelector("form").addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    the("find").disabled = true;
    the("clusters-words").textContent = "Looking for clusters…";
    try {
      const found = await cluster(store, link, Number(the("k").value), the("distance").value);
      the("clusters-words").textContent = found;
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
  keepPaths(the, store, link, scenery);
  store.on(["a", "b", "kept", "view", "layerName", "colouring"], onceAFrame(() => {
    const { scene, a, b, kept, view, layerName } = store.get();
    if (!scene) return;
    const column = the("column").value;
    remember(memoryOf(scene), { a, b, kept, view, column, layer: layerName, axes: scene.axes });
  }, (run) => void setTimeout(run, 300)));
  return store;
}

/** @param {import("./link.js").Scene} scene */
const memoryOf = (scene) => `pullback:${scene.title}:${scene.n}:${scene.d}`;
/** @param {{name: string}} column @returns {[string, string]} */
const named = ({ name }) => [name, name];
/** @param {{name: string, title: string}} layer @returns {[string, string]} */
const titled = ({ name, title }) => [name, title];

/** @param {HTMLElement} place @param {Link} link */
function tellConnection(place, link) {
  link.onStatus(({ state, seconds }) => {
    if (state === "open") place.textContent = "";
    if (state === "waiting") {
      const when = seconds < 1 ? "now" : `in ${seconds} s`;
      place.textContent = `Not connected: trying again ${when}. Is pullback explore still running?`;
    }
  });
}

/** Write what the state says into the cards. @param {import("./state.js").Store<State>} store
 * @param {(id: string) => any} the */
function listen(store, the) {
  store.on(["colouring", "layer", "scene", "theme"], (state) => writeLegend(the("legend"), state));
  const cards = onceAFrame(() => {
    const { path, trouble, active } = store.get();
    writePath(the("path"), path, trouble);
    writeStrips(the("along"), path);
    the("keep").disabled = !path;
    the("around-point").textContent = active.toUpperCase();
  });
  store.on(["path", "trouble", "active"], cards);
  let timer = 0;
  store.on(["path", "trouble"], () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      const { path } = store.get();
      the("said").textContent = path ? spoken(path) : "";
    }, 700);
  });
}

/** @param {(id: string) => any} the @param {import("./link.js").Scene} scene */
function chooseAxes(the, scene) {
  the("axes").hidden = scene.d <= 2;
  const options = Array.from({ length: scene.d }, (_, i) =>
    /** @type {[string, string]} */ ([String(i), `z${i + 1}`]));
  for (const i of [0, 1]) fill(the(`axis-${i}`), options, String(scene.axes[i]));
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

/** @param {(id: string) => any} the @param {import("./state.js").Store<State>} store
 * @param {Link} link @param {ReturnType<typeof createScenery>} scenery */
function keepPaths(the, store, link, scenery) {
  const write = () => {
    const { kept } = store.get();
    the("kept").hidden = !kept.length;
    writeKept(the("kept").querySelector("ol"), kept, {
      show: (path) => {
        const { points } = path;
        store.set({ a: points[0], b: points[points.length - 1] });
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
    const paths = store.get().kept.map(({ a, b }) => ({ a, b }));
    const answer = await link.ask("python", { paths });
    if (answer) download("paths.py", answer.code, "text/x-python");
  });
}

if (typeof document !== "undefined" && document.querySelector("#plane")) {
  void start(document, linkToServer());
}
