/** The clips of this session, newest first, in memory only. */

import { byId, h, iconButton } from "../dom.js";
import { shortSeed } from "./clip.js";
import { Envelope } from "../view/waveform.js";
import { clock } from "../view/axes.js";
import { cssColor, onThemeChange } from "../view/colors.js";

/** Sound that is kept, seconds in all; the oldest clips leave first. Half an hour is some 200 MB. */
const KEPT_SECONDS = 1800;

export class History {
  #list = byId("clips");
  #cards = new Map(); // clip -> its card
  #compared = []; // at most two clips, in the order chosen
  #actions;

  /** @param {{onSelect, onPlay, onCompare: (clips: Clip[]) => void, onRemove}} actions */
  constructor(player, actions) {
    this.#actions = actions;
    player.addEventListener("change", () => {
      for (const [clip, card] of this.#cards) card.playing = clip.track === player.track && player.state !== "paused";
    });
    onThemeChange(() => this.#cards.forEach((card) => card.draw()));
  }

  add(clip) {
    const card = new Card(clip, {
      select: () => this.#actions.onSelect(clip),
      play: () => this.#actions.onPlay(clip),
      compare: () => this.#compare(clip),
      remove: () => this.#remove(clip),
    });
    this.#cards.set(clip, card);
    this.#list.prepend(card.element);
    this.#forgetOldest();
    this.#count();
  }

  /** Marks the clip that the stage shows. */
  mark(selected) {
    for (const [clip, card] of this.#cards) card.selected = clip === selected;
  }

  endComparison() {
    this.#compared = [];
    this.#showCompared();
  }

  #compare(clip) {
    if (this.#compared.includes(clip)) this.#compared = this.#compared.filter((other) => other !== clip);
    else this.#compared = [...this.#compared, clip].slice(-2);
    this.#showCompared();
    this.#actions.onCompare(this.#compared);
  }

  #showCompared() {
    for (const [clip, card] of this.#cards) card.letter = "AB"[this.#compared.indexOf(clip)] ?? null;
  }

  #remove(clip) {
    if (this.#compared.includes(clip)) this.#compare(clip);
    const { element } = this.#cards.get(clip);
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    element.remove();
    this.#cards.delete(clip);
    this.#count();
    this.#actions.onRemove(clip);
    neighbour?.querySelector("button").focus();
  }

  #forgetOldest() {
    let seconds = 0;
    for (const clip of [...this.#cards.keys()].reverse()) {
      seconds += clip.request.duration;
      if (seconds > KEPT_SECONDS && clip !== [...this.#cards.keys()].at(-1)) this.#remove(clip);
    }
  }

  #count() {
    byId("history-empty").hidden = this.#cards.size > 0;
    byId("history-count").textContent = this.#cards.size > 0 ? String(this.#cards.size) : "";
  }
}

class Card {
  #clip;
  #picture = h("canvas", { class: "thumbnail" });
  #facts = h("span", { class: "facts" });
  #play;
  #compare;
  #title;
  #envelope = null;

  constructor(clip, { select, play, compare, remove }) {
    this.#clip = clip;
    this.#play = iconButton("play", `Play ${clip.title}`, play, { shown: false, class: "square" });
    this.#compare = h(
      "button",
      { type: "button", class: "quiet square letter", title: "Compare", "aria-label": `Compare ${clip.title}`, "aria-pressed": "false", onclick: compare },
      "A/B",
    );
    this.#title = h("button", { type: "button", class: "title", onclick: select }, clip.title);
    this.element = h(
      "li",
      { class: "card", dataset: { clip: clip.number } },
      this.#play,
      h("div", { class: "what" }, this.#title, this.#facts),
      this.#picture,
      h("div", { class: "tools" }, this.#compare, iconButton("close", `Remove ${clip.title}`, remove, { shown: false, class: "quiet square" })),
    );
    clip.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.#picture);
    this.draw();
  }

  set playing(playing) {
    this.element.dataset.playing = String(playing);
    this.#play.querySelector("use").setAttribute("href", playing ? "#icon-pause" : "#icon-play");
    this.#play.querySelector("span").textContent = `${playing ? "Pause" : "Play"} ${this.#clip.title}`;
  }

  set selected(selected) {
    if (selected) this.#title.setAttribute("aria-current", "true");
    else this.#title.removeAttribute("aria-current");
  }

  /** @param {"A"|"B"|null} letter */
  set letter(letter) {
    this.#compare.setAttribute("aria-pressed", String(letter !== null));
    this.#compare.textContent = letter ?? "A/B";
    this.#compare.dataset.letter = letter ?? "";
  }

  draw() {
    const { track, state, seed, kind } = this.#clip;
    const inWork = state === "waiting" || state === "generating";
    const ending = { stopped: " · stopped", failed: " · broken off" }[state] ?? "";
    this.#facts.textContent = track
      ? `${kind === "music" ? "Music" : "Sound"} · ${clock(track.seconds)}${ending} · seed ${shortSeed(seed)}`
      : inWork ? "waiting" : "nothing arrived";
    for (const button of [this.#play, this.#compare]) button.disabled = !track || (button === this.#compare && inWork);
    if (!track || this.#picture.clientWidth === 0) return;
    this.#envelope ??= new Envelope(track);
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#picture;
    this.#picture.width = width * ratio;
    this.#picture.height = height * ratio;
    const pen = this.#picture.getContext("2d");
    pen.scale(ratio, ratio);
    this.#envelope.draw(pen, { x: 0, y: 0, width, height }, track.expectedSeconds, cssColor("--accent"));
  }
}

