/** The form: what to make and how. It knows nothing of how it is made. */

import { byId, h, icon } from "../dom.js";
import { fieldName } from "../problems.js";
import { NumberField, clearComplaint, complain, controlOf } from "./fields.js";
import { EXAMPLES } from "./examples.js";
import { NUMBERS, parameter } from "./parameters.js";

/** What a continuation adds to the clip that it continues, seconds. */
const CONTINUED_SECONDS = 10;
const LARGEST_SEED = parameter("seed").max; // a string: more than a JS number can hold
const DECODERS = { encodec: "EnCodec", multiband_diffusion: "MultiBand Diffusion" };

export class Composer {
  #form = byId("composer");
  #text = byId("field-text");
  #seed = byId("field-seed");
  #decoder = byId("field-decoder");
  #generate = byId("generate");
  #cancel = byId("cancel");
  #continued = byId("continued");
  #fields = new Map(NUMBERS.map((number) => [number.name, new NumberField(number)]));
  #continuation = null;

  /** @param {{onGenerate: (request: object) => void, onCancel: () => void}} actions */
  constructor({ onGenerate, onCancel }) {
    this.#text.maxLength = parameter("text").max;
    this.#seed.maxLength = LARGEST_SEED.length;
    byId("help-seed").textContent = parameter("seed").help;
    this.#decoder.replaceChildren(
      ...parameter("decoder").choices.map((name) => h("option", { value: name }, DECODERS[name] ?? name)),
    );
    for (const { name, control } of NUMBERS) {
      byId(control.detailed ? "detailed-fields" : "main-fields").append(this.#fields.get(name).element);
    }
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const request = this.#request();
      if (request && !this.#generate.disabled) onGenerate(request);
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    this.#form.addEventListener("input", ({ target }) => {
      const field = target.closest("[data-field]");
      if (field) clearComplaint(field);
    });
    for (const radio of this.#form.elements.kind) radio.addEventListener("change", () => this.#showKind());
    this.#cancel.addEventListener("click", onCancel);
    this.#showKind();
  }

  set busy(busy) {
    const [appears, leaves] = busy ? [this.#cancel, this.#generate] : [this.#generate, this.#cancel];
    const takesFocus = document.activeElement === leaves;
    this.#generate.disabled = busy;
    appears.hidden = false;
    if (takesFocus) appears.focus();
    leaves.hidden = true;
  }

  /** Fills the form with a clip's request, its seed included. */
  useAgain(clip) {
    this.#chooseKind(clip.kind);
    this.#text.value = clip.request.text;
    for (const [name, field] of this.#fields) field.value = clip.request[name];
    this.#decoder.value = clip.request.decoder;
    this.#seed.value = clip.seed;
    this.#continueFrom(clip.continuation);
    byId("detailed").open = true;
    this.#generate.focus();
  }

  /** Makes the next clip begin with this one. */
  continueClip(clip, file) {
    this.#chooseKind(clip.kind);
    if (this.#text.value.trim() === "") this.#text.value = clip.request.text;
    this.#fields.get("duration").value = Math.min(parameter("duration").max, Math.ceil(clip.track.seconds) + CONTINUED_SECONDS);
    this.#seed.value = "";
    this.#continueFrom({ file, title: clip.title, seconds: clip.track.seconds });
    this.#text.focus();
  }

  /** Marks the fields that a server's problem names; takes the user to the first. */
  showProblem(problem) {
    const marked = problem.errors.flatMap((error) => {
      const field = this.#form.querySelector(`[data-field="${CSS.escape(fieldName(error))}"]`);
      if (field) complain(field, error.message);
      return field ?? [];
    });
    this.#takeTo(marked[0]);
  }

  /** The request, or null where a field is wrong. */
  #request() {
    const wrong = [...this.#fields].filter(([, field]) => field.complaint !== null);
    for (const [, field] of wrong) complain(field.element, field.complaint);
    const fields = wrong.map(([, field]) => field.element);
    if (!this.#seedIsFine()) {
      const seedField = this.#seed.closest("[data-field]");
      complain(seedField, `The seed must be a whole number from 0 to ${LARGEST_SEED}, or empty.`);
      fields.push(seedField);
    }
    if (this.#continuation && this.#fields.get("duration").value <= this.#continuation.seconds) {
      const { element } = this.#fields.get("duration");
      complain(element, `Length must be more than the ${this.#continuation.seconds.toFixed(1)} s that it continues.`);
      fields.push(element);
    }
    this.#takeTo(fields[0]);
    if (fields.length > 0) return null;
    const numbers = Object.fromEntries([...this.#fields].map(([name, field]) => [name, field.value]));
    return {
      kind: this.#kind,
      parameters: { text: this.#text.value.trim(), ...numbers, decoder: this.#decoder.value },
      seed: this.#seed.value.trim(),
      continuation: this.#continuation,
    };
  }

  get #kind() {
    return this.#form.elements.kind.value;
  }

  #seedIsFine() {
    const text = this.#seed.value.trim();
    return text === "" || (/^\d+$/.test(text) && BigInt(text) <= BigInt(LARGEST_SEED));
  }

  #takeTo(field) {
    if (!field) return;
    const details = field.closest("details");
    if (details) details.open = true;
    controlOf(field).focus();
  }

  #chooseKind(kind) {
    this.#form.elements.kind.value = kind;
    this.#showKind();
  }

  #showKind() {
    const diffusion = this.#decoder.querySelector('[value="multiband_diffusion"]');
    diffusion.disabled = this.#kind !== "music"; // it decodes the music model's codes
    if (diffusion.disabled) this.#decoder.value = parameter("decoder").value;
    const chips = Object.entries(EXAMPLES[this.#kind]).map(([name, text]) =>
      h("li", {}, h("button", { type: "button", class: "chip", title: text, onclick: () => this.#useExample(text) }, name)),
    );
    byId("examples").replaceChildren(...chips);
  }

  #useExample(text) {
    this.#text.value = text;
    clearComplaint(this.#text.closest("[data-field]"));
    this.#text.focus();
  }

  #continueFrom(continuation) {
    this.#continuation = continuation;
    this.#continued.hidden = continuation === null;
    if (continuation === null) return;
    const forget = () => {
      this.#continueFrom(null);
      this.#text.focus();
    };
    this.#continued.replaceChildren(
      h("span", {}, "Continues ", h("b", {}, `“${continuation.title}”`), ` (${continuation.seconds.toFixed(1)} s)`),
      h("button", { type: "button", class: "quiet square", "aria-label": "Don't continue a clip", onclick: forget }, icon("close")),
    );
  }
}
