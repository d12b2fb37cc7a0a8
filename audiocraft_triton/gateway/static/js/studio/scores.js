/** An analysis in numbers: bars, table, verdict. */

import { h } from "../dom.js";

const NAMES = { mpd: "Multi-period", msd: "Multi-scale", msstftd: "Multi-scale STFT" };

/** Terms and values for a <dl>: each discriminator's score with a bar. */
export function scoreBars(result) {
  return Object.entries(NAMES).map(([key, name]) => {
    const score = result[`${key}_score`];
    const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("i"));
    bar.style.setProperty("--score", String(score));
    return h("div", {}, h("dt", {}, name, h("small", {}, key.toUpperCase())), h("dd", {}, bar, h("b", {}, score.toFixed(2))));
  });
}

/** The curve as a table, for those who read rather than look. */
export function scoreTable(result) {
  const head = ["From", ...Object.keys(NAMES).map((key) => key.toUpperCase())].map((name) => h("th", { scope: "col" }, name));
  const rows = result.windows.map((window) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, `${window.start.toFixed(1)} s`),
      ...Object.keys(NAMES).map((key) => h("td", {}, window[key].toFixed(2))),
    ),
  );
  return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}

/** What the scores say at a threshold, in words. */
export function verdict({ realness, calibrated }, threshold) {
  if (!calibrated) return "no verdict";
  return realness >= threshold ? "sounds real" : "sounds generated";
}
