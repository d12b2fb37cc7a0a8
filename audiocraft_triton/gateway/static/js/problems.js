/** From what went wrong to what a person can do about it. */

import { parameter } from "./studio/parameters.js";

/**
 * @param {Problem} problem
 * @returns {{title: string, text: string}}
 */
export function explained(problem) {
  const said = problem.detail || problem.title;
  switch (problem.status) {
    case 0:
      return problem.detail
        ? { title: "The sound broke off", text: `${said} What arrived is kept below.` }
        : { title: "The studio's server does not answer", text: "Is it still running? Nothing is lost: try again when it is back." };
    case 400:
    case 422:
      return { title: "That can't be made as asked", text: sentences(problem) };
    case 401:
      return { title: "An API key is needed", text: "This server answers only with a valid key." };
    case 413:
      return { title: "That is too large", text: said };
    case 429:
      return { title: "That was a lot at once", text: `This server limits how much one visitor may ask for. ${again(problem)}` };
    case 503:
      return { title: "Not just now", text: `The server is busy or just starting: ${said}. ${again(problem)}` };
    case 504:
      return { title: "That took too long", text: "The server gave up waiting. A shorter clip may work." };
    default:
      return { title: "Something failed on the server", text: withReference(said, problem.requestId) };
  }
}

/** The last part of a field's path: "body.duration" -> "duration". */
export const fieldName = (error) => String(error.field ?? "").split(".").at(-1);

function sentences(problem) {
  if (problem.errors.length === 0) return problem.detail || problem.title;
  return problem.errors.map((error) => `${label(fieldName(error))}: ${error.message}`).join(". ");
}

const label = (name) => parameter(name)?.control?.label ?? name;

function again({ retryAfter }) {
  if (retryAfter === null) return "Try again in a moment.";
  return `Try again in ${Math.ceil(retryAfter)} second${Math.ceil(retryAfter) === 1 ? "" : "s"}.`;
}

function withReference(text, requestId) {
  return requestId ? `${text} (Reference ${requestId})` : text;
}
