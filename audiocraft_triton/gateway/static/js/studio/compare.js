/** Two tracks side by side, heard one or the other at the same position. */

import { h, iconButton } from "../dom.js";
import { ClipView } from "../view/clip-view.js";
import { Transport } from "./transport.js";

let count = 0;

export class Compare {
  #player;
  #transport;
  #sides;
  #radios;
  #name = `compare-${++count}`;

  /** @param {{onClose?: () => void}} options with onClose it has a button to close it */
  constructor(player, { onClose = null } = {}) {
    this.#player = player;
    this.#transport = new Transport(player);
    this.#sides = ["A", "B"].map((letter) => {
      const view = new ClipView(player, `Position in ${letter}`, letter === "A" ? "--accent" : "--second");
      const title = h("span", { class: "side-title" });
      const element = h("div", { class: "side", dataset: { side: letter } }, h("p", {}, h("b", { class: "letter", dataset: { letter } }, letter), title), view.element);
      return { letter, view, title, element, track: null };
    });
    this.#radios = this.#sides.map((side, index) => {
      const radio = h("input", { type: "radio", name: this.#name, value: side.letter, onchange: () => this.#hear(index) });
      radio.checked = index === 0;
      return radio;
    });
    const choice = h(
      "fieldset",
      { class: "segmented ab" },
      h("legend", { class: "sr-only" }, "Which one to hear"),
      ...this.#radios.map((radio, index) => h("label", {}, radio, h("span", {}, "AB"[index]))),
    );
    const close = onClose && iconButton("close", "Close the comparison", onClose, { shown: false, class: "quiet square" });
    this.element = h(
      "div",
      { class: "compare" },
      h("div", { class: "compare-bar" }, this.#transport.element, choice, close),
      h("div", { class: "sides" }, ...this.#sides.map((side) => side.element)),
    );
    player.addEventListener("change", () => this.#follow());
  }

  /** @param {{title: string, track: Track}[]} pair */
  show(pair) {
    const frame = {
      seconds: Math.max(...pair.map(({ track }) => track.seconds)),
      topFrequency: Math.max(...pair.map(({ track }) => track.sampleRate / 2)),
    };
    pair.forEach(({ title, track }, index) => {
      const side = this.#sides[index];
      side.track = track;
      side.title.textContent = title;
      side.view.show(track, frame);
    });
    this.#mark(0);
  }

  /** The views, to draw more on them: A, then B. */
  get views() {
    return this.#sides.map((side) => side.view);
  }

  #hear(index) {
    const { track } = this.#sides[index];
    if (this.#sides.some((side) => side.track === this.#player.track)) this.#player.switchTo(track);
    this.#mark(index);
  }

  /** Another way led to one of the two: a click into its picture, say. */
  #follow() {
    const index = this.#sides.findIndex((side) => side.track !== null && side.track === this.#player.track);
    if (index >= 0) this.#mark(index);
  }

  #mark(index) {
    this.#radios[index].checked = true;
    this.#transport.show(this.#sides[index].track);
    this.#sides.forEach((side, other) => (side.element.dataset.active = String(other === index)));
  }
}
