/** What can be set about a generation. Bounds, defaults and help are the server's. */

import { PARAMETERS } from "../contract.js";

/** The numbers that have a field with a slider. */
export const NUMBERS = PARAMETERS.filter((parameter) => parameter.control);

export const parameter = (name) => PARAMETERS.find((candidate) => candidate.name === name);

/** What differs from the server's defaults: the rest is not sent, so that the server decides. */
export const changed = (values) =>
  Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== parameter(name)?.value));
