// @ts-check
/** The worker of a page that stands alone: its first message is what the export holds, each other one
 * a request. */

import { createAnswers, respond } from "./answers.js";

/** @type {import("./answers.js").Answers | Error | null} */
let answers = null;

self.onmessage = ({ data }) => {
  if (answers) self.postMessage(respond(answers, data));
  else answers = answersOf(data);
};

/** The answers, or why there are none: each request is then answered by that. @param {string} content */
function answersOf(content) {
  try {
    return createAnswers(JSON.parse(content));
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
