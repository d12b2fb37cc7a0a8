/** Small helpers to build and find elements. Text is always text: nothing here parses HTML. */

/** An element. Properties: "class", "on<event>" functions, "dataset", else attributes; true is an empty one, null none. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the symbols in index.html; decoration only. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon; `label` is shown, or spoken only. */
export function iconButton(name, label, onclick, { shown = true, ...properties } = {}) {
  const text = h("span", { class: shown ? "" : "sr-only" }, label);
  return h("button", { type: "button", title: shown ? null : label, onclick, ...properties }, icon(name), text);
}

export const byId = (id) => document.getElementById(id);

/** Has a screen reader say something, once the present utterance is over. */
export function announce(text) {
  const region = byId("announcements");
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 50);
}

/** Copies text; also on plain HTTP, where browsers offer no clipboard to scripts. */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "sr-only" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  return undefined;
}
