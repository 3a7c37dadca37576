// @ts-check
/** The live page: the explorer over the server that it came from. */

import { linkToServer } from "./link.js";
import { start } from "./main.js";

void start(document, linkToServer());
