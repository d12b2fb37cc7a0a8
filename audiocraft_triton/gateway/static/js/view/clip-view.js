/** Waveform over spectrogram, with axes and a playhead: shows a track as it grows, and seeks in it. */

import { h } from "../dom.js";
import { drawFrequencyAxis, drawTimeAxis } from "./axes.js";
import { cssColor, currentTheme, onThemeChange } from "./colors.js";
import { drawScores } from "./scores.js";
import { Spectrogram } from "./spectrogram.js";
import { Envelope } from "./waveform.js";

const GUTTER = 38;
const AXIS_HEIGHT = 22;
const FONT = "11px system-ui, sans-serif";
const KEY_STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 };

export class ClipView {
  #player;
  #track = null;
  #frame = {};
  #envelope = null;
  #spectrogram = null;
  #scores = null;
  #color;
  #drawing = 0;
  #redraw = () => this.#drawSoon();
  #waveform = h("canvas", { class: "waveform" });
  #picture = h("canvas", { class: "spectrogram" });
  #playhead = h("div", { class: "playhead" });

  /** @param {string} color the custom property that the waveform is drawn in */
  constructor(player, label, color = "--accent") {
    this.#player = player;
    this.#color = color;
    this.element = h(
      "div",
      { class: "clip-view", role: "slider", tabindex: "0", "aria-label": label, "aria-valuemin": "0", "aria-valuenow": "0" },
      this.#waveform,
      this.#picture,
      this.#playhead,
    );
    this.element.addEventListener("pointerdown", (event) => this.#startDragging(event));
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(this.#redraw).observe(this.element);
    onThemeChange(this.#redraw);
    for (const name of ["tick", "change"]) player.addEventListener(name, () => this.#movePlayhead());
  }

  /**
   * @param {Track|null} track
   * @param {{seconds?: number, topFrequency?: number}} frame at least what the axes span: for views to be compared
   */
  show(track, frame = {}) {
    this.#frame = frame;
    this.#drawSoon();
    if (track === this.#track) return;
    this.#spectrogram?.close();
    for (const name of ["append", "end"]) this.#track?.removeEventListener(name, this.#redraw);
    this.#track = track;
    this.#scores = null;
    this.#envelope = track && new Envelope(track);
    this.#spectrogram = track && new Spectrogram(track);
    this.#spectrogram?.addEventListener("draw", this.#redraw);
    for (const name of ["append", "end"]) track?.addEventListener(name, this.#redraw);
  }

  /** Draws an analysis over the spectrogram. @param {{windows, windowSeconds, threshold}|null} scores */
  showScores(scores) {
    this.#scores = scores;
    this.#drawSoon();
  }

  #drawSoon() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const seconds = this.#seconds;
    const muted = cssColor("--muted");
    const upper = prepared(this.#waveform);
    if (upper) {
      const box = { x: GUTTER, y: 0, width: upper.width - GUTTER, height: upper.height };
      upper.pen.fillStyle = cssColor("--line");
      upper.pen.fillRect(box.x, Math.floor(box.height / 2), box.width, 1);
      this.#envelope?.draw(upper.pen, box, seconds, cssColor(this.#color));
    }
    const lower = prepared(this.#picture);
    if (lower) {
      const box = { x: GUTTER, y: 0, width: lower.width - GUTTER, height: lower.height - AXIS_HEIGHT };
      lower.pen.fillStyle = cssColor("--well");
      lower.pen.fillRect(box.x, box.y, box.width, box.height);
      const topFrequency = Math.max((this.#track?.sampleRate ?? 32_000) / 2, this.#frame.topFrequency ?? 0);
      this.#spectrogram?.draw(lower.pen, box, { seconds, topFrequency }, currentTheme());
      drawFrequencyAxis(lower.pen, box, topFrequency, muted);
      drawTimeAxis(lower.pen, box, seconds, muted);
      if (this.#scores) drawScores(lower.pen, box, seconds, this.#scores, currentTheme());
    }
    this.#movePlayhead();
  }

  get #seconds() {
    return Math.max(this.#track?.expectedSeconds ?? 10, this.#frame.seconds ?? 0, 0.1);
  }

  #movePlayhead() {
    const playing = this.#track !== null && this.#player.track === this.#track;
    const position = playing ? this.#player.position : 0;
    const width = this.element.clientWidth - GUTTER;
    this.#playhead.hidden = !playing;
    this.#playhead.style.transform = `translateX(${GUTTER + (position / this.#seconds) * width}px)`;
    this.element.setAttribute("aria-valuemax", (this.#track?.seconds ?? 0).toFixed(1));
    this.element.setAttribute("aria-valuenow", position.toFixed(1));
    this.element.setAttribute("aria-valuetext", `${position.toFixed(1)} of ${(this.#track?.expectedSeconds ?? 0).toFixed(1)} seconds`);
  }

  #startDragging(event) {
    if (!this.#track || event.button !== 0) return;
    const follow = ({ clientX }) => {
      const box = this.element.getBoundingClientRect();
      const share = (clientX - box.left - GUTTER) / (box.width - GUTTER);
      this.#player.seek(this.#track, share * this.#seconds);
    };
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener("pointermove", follow);
    this.element.addEventListener("lostpointercapture", () => this.element.removeEventListener("pointermove", follow), {
      once: true,
    });
    follow(event);
  }

  #onKey(event) {
    if (!this.#track || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = this.#player.track === this.#track ? this.#player.position : 0;
    let target = null;
    if (event.key in KEY_STEPS) target = here + KEY_STEPS[event.key];
    else if (event.key === "Home") target = 0;
    else if (event.key === "End") target = this.#track.seconds;
    if (target !== null) this.#player.seek(this.#track, target);
    else if (event.key === " ") this.#player.toggle(this.#track);
    else return;
    event.preventDefault();
  }
}

/** A canvas as sharp as the screen, emptied; null while it is not shown. */
function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return null;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = FONT;
  return { pen, width, height };
}
