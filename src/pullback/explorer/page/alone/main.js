// @ts-check
/** A page that stands alone: what it holds, and the explorer over it. */

import { start } from "../main.js";
import { linkInside } from "./inside.js";

/** The text of a script that is none: what an export wrote into the page. @param {string} id */
const held = (id) => /** @type {HTMLElement} */ (document.getElementById(id)).textContent ?? "";

try {
  void start(document, linkInside(held("content"), held("worker")));
} catch (error) {
  const why = error instanceof Error ? error.message : String(error);
  /** @type {HTMLElement} */ (document.getElementById("welcome")).textContent =
    `This browser cannot run the page: ${why}`;
}
