// @ts-check
/** The choosers: of colours, layers, plane and theme, and the legend of the colours. */

import { classStyle } from "./colours.js";
import { barOfColumn, barOfLayer } from "./layers.js";
import { number } from "./certificate.js";
import { recall, remember } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Colouring} Colouring */

/** More classes than this are counted in the legend, not named. */
const MOST_CLASSES = 12;

/** Fill a chooser, keeping what is chosen if it is still there.
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options value and text
 * @param {string} chosen */
export function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  select.value = options.some(([value]) => value === chosen) ? chosen : (options[0]?.[0] ?? "");
}

/** Write what the colours mean.
 * @param {HTMLElement} legend
 * @param {State} state */
export function writeLegend(legend, { colouring, layer, layerName, notice, scene, theme }) {
  const parts = [];
  if (colouring?.kind === "category") parts.push(classes(colouring));
  if (colouring?.kind === "number") parts.push(barOfColumn(colouring.name, colouring.values));
  if (layer) {
    const title = scene?.layers.find(({ name }) => name === layerName)?.title ?? layerName;
    const made = barOfLayer(layer, title, theme);
    if (made) parts.push(made);
  } else if (layerName) parts.push(pill("Measuring the layer…"));
  if (notice) parts.push(pill(notice));
  legend.replaceChildren(...parts);
}

/** What is under way, where the legend is. @param {string} text */
function pill(text) {
  const made = document.createElement("span");
  made.className = "bar-of-colours waits";
  made.textContent = text;
  return made;
}

/** @param {Colouring} colouring */
function classes({ labels }) {
  const list = document.createElement("ul");
  list.className = "classes";
  labels.slice(0, MOST_CLASSES).forEach((label, i) => {
    const [item, mark] = [document.createElement("li"), document.createElement("span")];
    const { colour, marker } = classStyle(i);
    mark.textContent = marker;
    mark.style.color = colour;
    mark.setAttribute("aria-hidden", "true");
    item.append(mark, label);
    list.append(item);
  });
  if (labels.length > MOST_CLASSES) {
    const item = document.createElement("li");
    item.textContent = `and ${labels.length - MOST_CLASSES} more`;
    list.append(item);
  }
  return list;
}

/** The columns of one sample, in words.
 * @param {HTMLElement} list a `dl`
 * @param {Record<string, unknown>} columns */
export function writeColumns(list, columns) {
  list.replaceChildren(
    ...Object.entries(columns).flatMap(([name, value]) => {
      const [term, told] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      told.textContent = typeof value === "number" ? number(value) : String(value);
      return [term, told];
    }),
  );
}

/** The theme that is shown: the one chosen on this machine, or that of the system.
 * @param {string | null} chosen
 * @param {boolean} systemIsDark
 * @returns {import("./colours.js").Theme} */
export function themeOf(chosen, systemIsDark) {
  if (chosen === "light" || chosen === "dark") return chosen;
  return systemIsDark ? "dark" : "light";
}

/** Let a button switch the theme, and follow the system until it is used.
 * @param {HTMLElement} button
 * @param {HTMLElement} themed what has the theme
 * @param {(theme: import("./colours.js").Theme) => void} tell */
export function createTheme(button, themed, tell) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = recall("pullback-theme", () => localStorage);
  const apply = () => {
    const theme = themeOf(chosen, system.matches);
    themed.dataset.theme = theme;
    button.setAttribute("aria-label", theme === "dark" ? "Use the light theme" : "Use the dark theme");
    tell(theme);
  };
  button.addEventListener("click", () => {
    chosen = themeOf(chosen, system.matches) === "dark" ? "light" : "dark";
    remember("pullback-theme", chosen, () => localStorage);
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
