/** Form fields: a number with a slider, and messages at the field that caused them. */

import { h } from "../dom.js";

const SYMBOLS = { seconds: "s" };

/** A slider for the usual part of a range and a number field for all of it, kept equal. */
export class NumberField {
  #parameter;
  #number;
  #slider;

  constructor(parameter) {
    this.#parameter = parameter;
    const { name, unit, value, min, max, whole, help, control } = parameter;
    const { label, low, high, step: sliderStep } = control;
    const step = whole ? "1" : "any";
    this.#number = h("input", { type: "number", id: `field-${name}`, name, min, max, step, value, required: true });
    this.#number.setAttribute("aria-describedby", `help-${name}`);
    this.#slider = h("input", { type: "range", min: low, max: high, step: sliderStep, value, "aria-label": `${label}, slider`, tabindex: "-1" });
    this.#number.addEventListener("input", () => this.#follow(this.#slider, this.#number.value));
    this.#slider.addEventListener("input", () => this.#follow(this.#number, this.#slider.value));
    this.element = h(
      "div",
      { class: "field", dataset: { field: name } },
      h("label", { for: `field-${name}` }, label),
      h("span", { class: "number" }, this.#number, unit ? h("span", { class: "unit", "aria-hidden": "true" }, SYMBOLS[unit] ?? unit) : null),
      this.#slider,
      h("p", { class: "help", id: `help-${name}` }, help),
    );
    this.#fill();
  }

  get value() {
    return this.#number.valueAsNumber;
  }

  set value(value) {
    this.#number.value = String(value);
    this.#follow(this.#slider, value);
  }

  /** What is wrong with the value, or null. */
  get complaint() {
    const { min, max, whole, control: { label } } = this.#parameter;
    const { validity } = this.#number;
    if (validity.valid) return null;
    if (validity.stepMismatch && whole) return `${label} must be a whole number.`;
    if (validity.rangeOverflow || validity.rangeUnderflow) return `${label} must be between ${min} and ${max}.`;
    return `${label} must be a number.`;
  }

  #follow(input, value) {
    input.value = value;
    clearComplaint(this.element);
    this.#fill();
  }

  #fill() {
    const { low, high } = this.#parameter.control;
    const share = (Number(this.#slider.value) - low) / (high - low);
    this.#slider.style.setProperty("--filled", `${100 * share}%`);
  }
}

/** Says at a field what is wrong with it. @param {HTMLElement} field an element with data-field */
export function complain(field, text) {
  clearComplaint(field);
  const control = controlOf(field);
  const id = `complaint-${field.dataset.field}`;
  field.append(h("p", { class: "complaint", id }, text));
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", `${control.getAttribute("aria-describedby") ?? ""} ${id}`.trim());
}

export function clearComplaint(field) {
  const complaint = field.querySelector(".complaint");
  if (!complaint) return;
  const control = controlOf(field);
  control.removeAttribute("aria-invalid");
  const rest = control.getAttribute("aria-describedby").replace(complaint.id, "").trim();
  if (rest) control.setAttribute("aria-describedby", rest);
  else control.removeAttribute("aria-describedby");
  complaint.remove();
}

/** The control that a keyboard user should be taken to. */
export const controlOf = (field) => field.querySelector("textarea, input:not([type=range]), select");
