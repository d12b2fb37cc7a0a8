/** The clip at the centre: its picture, its transport, its seed, and what can be done with it. */

import { announce, byId, copyText, h, iconButton } from "../dom.js";
import { ClipView } from "../view/clip-view.js";
import { clock } from "../view/axes.js";
import { Transport } from "./transport.js";

const STATES = { waiting: "Waiting for the first sound", generating: "Generating", stopped: "Stopped", failed: "Broken off" };
const KINDS = { music: "Music", audio: "Sound" };

export class Stage {
  #view;
  #transport;
  #progress = h("progress", { max: "1", value: "0", "aria-label": "Generated" });
  #status = byId("stage-status");
  #clip = null;
  #shown = "";
  #actions;
  #onChange = () => this.#show();

  /** @param {{useAgain, continueClip, analyzeClip, saveClip}} actions each takes a clip */
  constructor(player, actions) {
    this.#actions = actions;
    this.#view = new ClipView(player, "Position in the clip");
    this.#transport = new Transport(player);
    byId("stage-view").append(this.#view.element);
    byId("stage-transport").append(this.#transport.element, this.#progress);
    this.#show();
  }

  get clip() {
    return this.#clip;
  }

  /** @param {Clip|null} clip */
  show(clip) {
    this.#clip?.removeEventListener("change", this.#onChange);
    this.#clip = clip;
    clip?.addEventListener("change", this.#onChange);
    this.#show();
  }

  #show() {
    const clip = this.#clip;
    byId("stage").dataset.state = clip?.state ?? "empty";
    byId("stage-title").textContent = clip?.title ?? "Nothing here yet";
    byId("stage-empty").hidden = clip !== null;
    this.#view.show(clip?.track ?? null);
    this.#transport.show(clip?.track ?? null);
    this.#showStatus(clip);
    const inWork = clip?.state === "waiting" || clip?.state === "generating";
    this.#progress.hidden = !inWork;
    if (clip?.track) this.#progress.value = clip.track.seconds / clip.track.expectedSeconds;
    else this.#progress.removeAttribute("value");
    const shown = clip?.track ? `${clip.number} ${clip.state}` : "nothing";
    if (shown === this.#shown) return; // building the buttons anew with each piece of sound would take the focus away
    this.#shown = shown;
    byId("stage-facts").replaceChildren(...(clip?.track ? this.#facts(clip) : []));
    byId("stage-actions").replaceChildren(...(clip?.track && !inWork ? this.#buttons(clip) : []));
  }

  #showStatus(clip) {
    if (!clip) this.#status.textContent = "";
    else if (clip.state === "complete") {
      const work = `${clip.totalSeconds.toFixed(1)} s of work, ${clip.speed.toFixed(1)} × real time`;
      this.#status.textContent = `First sound after ${clip.firstSoundSeconds.toFixed(2)} s · ${work}`;
    } else if (clip.track) {
      const made = `${clip.track.seconds.toFixed(1)} of ${clip.request.duration.toFixed(1)} s`;
      const speed = clip.state === "generating" ? ` · ${clip.speed.toFixed(1)} × real time` : "";
      this.#status.textContent = `${STATES[clip.state]} · ${made}${speed}`;
    } else this.#status.textContent = STATES[clip.state];
  }

  #facts(clip) {
    const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
    const copy = async () => {
      await copyText(clip.seed);
      announce("Seed copied");
    };
    return [
      fact("Kind", KINDS[clip.kind]),
      fact("Length", clock(clip.track.expectedSeconds)),
      fact("Rate", `${clip.track.sampleRate / 1000} kHz`),
      fact("Seed", h("code", { id: "seed" }, clip.seed), iconButton("copy", "Copy the seed", copy, { shown: false, class: "quiet square" })),
    ];
  }

  #buttons(clip) {
    const { useAgain, continueClip, analyzeClip, saveClip } = this.#actions;
    const save = (format) => (event) => this.#whileBusy(event.currentTarget, () => saveClip(clip, format));
    const remade = "Made again by the server from its seed: takes as long as generating it";
    const formats = clip.repeatable
      ? ["flac", "mp3"].map((format) => h("button", { type: "button", title: remade, onclick: save(format) }, format.toUpperCase()))
      : [];
    return [
      iconButton("again", "Use again", () => useAgain(clip), { title: "Fill the form with this clip's settings and seed" }),
      iconButton("continue", "Continue", () => continueClip(clip)),
      iconButton("analyze", "Analyze", () => analyzeClip(clip)),
      h(
        "div",
        { class: "group", role: "group", "aria-label": "Download" },
        iconButton("download", "WAV", save("wav"), { "aria-label": "Download WAV" }),
        ...formats,
      ),
    ];
  }

  async #whileBusy(button, work) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  }
}
