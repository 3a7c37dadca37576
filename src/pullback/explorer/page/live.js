// @ts-check
/** The live page: the explorer over the server that it came from. */

import { themeOf } from "./controls.js";
import { fetcher, linkToServer } from "./link.js";
import { start } from "./main.js";
import { recall } from "./state.js";
import { ready } from "./waiting.js";

const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme = themeOf(recall("pullback-theme", () => localStorage), isDark);
const welcome = /** @type {HTMLElement} */ (document.querySelector("#welcome"));

async function open() {
  if (await ready(welcome, fetcher())) await start(document, linkToServer());
}

void open();
