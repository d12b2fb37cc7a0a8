/** How real a file sounds, and how it sounds after EnCodec. */

import { analyze, decode, encode, Problem } from "../api.js";
import { decodedTrack } from "../audio/files.js";
import { Track } from "../audio/track.js";
import { readWav16 } from "../audio/wav.js";
import { LIMITS, THRESHOLD } from "../contract.js";
import { announce, byId, h } from "../dom.js";
import { ClipView } from "../view/clip-view.js";
import { Compare } from "./compare.js";
import { Notice } from "./notice.js";
import { scoreBars, scoreTable, verdict } from "./scores.js";
import { Transport } from "./transport.js";

const LARGEST_FILE = LIMITS.fileBytes / 2 ** 20; // MiB

export class Analysis {
  #player;
  #view;
  #transport;
  #compare;
  #notice = new Notice(byId("analysis-notice"));
  #threshold = byId("threshold");
  #subject = null; // {file, title, track, result} of what is shown
  #roundTrip = null; // {track, result} of its round trip, once made
  #turn = 0;

  constructor(player) {
    this.#player = player;
    this.#view = new ClipView(player, "Position in the analyzed file");
    this.#transport = new Transport(player);
    this.#compare = new Compare(player);
    byId("analysis-view").append(this.#view.element, this.#transport.element);
    byId("round-trip-view").append(this.#compare.element);
    byId("file-limits").textContent = `wav, flac, ogg, mp3 and more; up to ${LARGEST_FILE} MiB and ${LIMITS.seconds} seconds.`;
    Object.assign(this.#threshold, { min: THRESHOLD.min, max: THRESHOLD.max, value: THRESHOLD.value });
    byId("threshold-value").textContent = THRESHOLD.value.toFixed(2);
    this.#threshold.addEventListener("input", () => this.#showVerdict());
    byId("round-trip").addEventListener("click", () => void this.#makeRoundTrip());
    byId("analysis-file").addEventListener("change", ({ target }) => {
      if (target.files[0]) void this.open(target.files[0], target.files[0].name);
      target.value = ""; // so that the same file can be chosen again
    });
  }

  /** @param {Blob} file @param {Track|null} track what the file sounds like, where that is known already */
  async open(file, title, track = null) {
    const turn = ++this.#turn;
    this.#notice.clear();
    this.#setState("busy", `Listening to ${title} …`);
    byId("analysis-result").hidden = true;
    if (this.#player.state !== "paused") this.#player.pause();
    try {
      if (file.size > LIMITS.fileBytes) throw tooLarge(file);
      const [sound, result] = await Promise.all([track ?? decodedTrack(file), analyze(file)]);
      if (turn !== this.#turn) return;
      this.#subject = { file, title, track: sound, result };
      this.#roundTrip = null;
      this.#showSubject();
    } catch (problem) {
      if (turn !== this.#turn) return;
      this.#setState("idle", "");
      this.#notice.show(problem, worthRetrying(problem) ? () => void this.open(file, title, track) : null);
    }
  }

  #showSubject() {
    const { title, track, result } = this.#subject;
    this.#setState("idle", track ? "" : "This browser can't play this format; the scores are the server's.");
    byId("analysis-result").hidden = false;
    byId("analysis-title").textContent = title;
    byId("uncalibrated").hidden = result.calibrated;
    byId("analysis-view").hidden = track === null;
    byId("round-trip-view").hidden = true;
    byId("round-trip").hidden = false;
    byId("score-bars").replaceChildren(...scoreBars(result));
    byId("score-table").replaceChildren(scoreTable(result));
    this.#view.show(track);
    this.#transport.show(track);
    this.#showVerdict();
    announce(`${title}: realness ${result.realness.toFixed(2)}, ${byId("verdict").textContent}`);
  }

  #showVerdict() {
    const threshold = Number(this.#threshold.value);
    byId("threshold-value").textContent = threshold.toFixed(2);
    this.#threshold.style.setProperty("--filled", `${threshold * 100}%`);
    if (!this.#subject) return;
    const { result } = this.#subject;
    byId("realness").textContent = result.realness.toFixed(2);
    byId("verdict").textContent = verdict(result, threshold);
    byId("verdict").dataset.real = result.calibrated ? String(result.realness >= threshold) : "unknown";
    this.#view.showScores(curve(result, threshold));
    if (this.#roundTrip) {
      this.#compare.views[0].showScores(curve(result, threshold));
      this.#compare.views[1].showScores(curve(this.#roundTrip.result, threshold));
    }
  }

  async #makeRoundTrip() {
    const turn = this.#turn;
    const subject = this.#subject;
    this.#notice.clear();
    this.#setState("busy", "Through EnCodec and back …");
    byId("round-trip").disabled = true;
    try {
      const { codes } = await encode(subject.file);
      const wav = await decode(codes);
      const result = await analyze(new Blob([wav], { type: "audio/wav" }));
      if (turn !== this.#turn) return;
      const { channels, sampleRate } = readWav16(wav);
      this.#roundTrip = { track: Track.of(channels, sampleRate), result };
      this.#showRoundTrip();
    } catch (problem) {
      if (turn === this.#turn) this.#notice.show(problem, worthRetrying(problem) ? () => void this.#makeRoundTrip() : null);
    } finally {
      if (turn === this.#turn) this.#setState("idle", "");
      byId("round-trip").disabled = false;
    }
  }

  #showRoundTrip() {
    const { track, result } = this.#subject;
    const original = track ?? this.#roundTrip.track;
    byId("analysis-view").hidden = true;
    byId("round-trip-view").hidden = false;
    byId("round-trip").hidden = true;
    this.#compare.show([
      { title: `Original · realness ${result.realness.toFixed(2)}`, track: original },
      { title: `After EnCodec · realness ${this.#roundTrip.result.realness.toFixed(2)}`, track: this.#roundTrip.track },
    ]);
    this.#showVerdict();
    announce("The round trip is ready: A is the original, B what EnCodec made of it.");
  }

  #setState(state, text) {
    byId("analyze").dataset.state = state;
    byId("analysis-status").replaceChildren(...(text ? [h("span", {}, text)] : []));
  }
}

const curve = (result, threshold) => ({ windows: result.windows, windowSeconds: result.window_seconds, threshold });

const worthRetrying = (problem) => problem.status === 0 || problem.status === 429 || problem.status >= 500;

function tooLarge(file) {
  const size = `${(file.size / 2 ** 20).toFixed(0)} MiB`;
  return new Problem({ status: 413, detail: `The file has ${size}; the server takes up to ${LARGEST_FILE} MiB.` });
}
