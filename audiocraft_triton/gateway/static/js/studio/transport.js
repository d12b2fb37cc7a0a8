/** Play and pause, the time, and how loud it is now. */

import { h, icon } from "../dom.js";
import { clock } from "../view/axes.js";

export class Transport {
  #player;
  #track = null;
  #button;
  #time = h("span", { class: "time" });
  #level = h("span", { class: "level", "aria-hidden": "true" }, h("i"));

  constructor(player) {
    this.#player = player;
    this.#button = h("button", { type: "button", class: "play", onclick: () => player.toggle(this.#track) });
    this.element = h("div", { class: "transport" }, this.#button, this.#time, this.#level);
    player.addEventListener("change", () => this.#show());
    player.addEventListener("tick", () => this.#showTime());
    this.#show();
  }

  show(track) {
    this.#track = track;
    this.#show();
  }

  #show() {
    const state = this.#active ? this.#player.state : "paused";
    this.element.dataset.state = state;
    this.#button.disabled = this.#track === null;
    this.#button.setAttribute("aria-label", state === "paused" ? "Play" : "Pause");
    this.#button.replaceChildren(icon(state === "paused" ? "play" : "pause"));
    this.#showTime();
  }

  #showTime() {
    const position = this.#active ? this.#player.position : 0;
    this.#time.textContent = `${clock(position)} / ${clock(this.#track?.expectedSeconds ?? 0)}`;
    const level = this.#active && this.#player.state === "playing" ? this.#player.level : 0;
    const decibels = 20 * Math.log10(level + 1e-6);
    this.#level.style.setProperty("--level", String(Math.max(0, Math.min(1, 1 + decibels / 50))));
    this.element.dataset.waiting = String(this.#active && this.#player.state === "buffering");
  }

  get #active() {
    return this.#track !== null && this.#player.track === this.#track;
  }
}
