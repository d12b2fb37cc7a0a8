/**
 * Plays one track at a time, also while its samples are still arriving.
 *
 * Short pieces are scheduled on the audio clock a little ahead. When generation is slower than playback, the player
 * stops at the gap and goes on once the rest can be played through in one go: one or two pauses, never a stutter.
 */

import { lookAhead, resampled } from "./resample.js";

const PIECE_SECONDS = 0.25;
/** Covers the one timer call a second that a hidden tab gets. */
const SCHEDULED_SECONDS = 2.5;
const FIRST_BUFFER_SECONDS = 0.3;
const FADE_SECONDS = 0.012;
const START_DELAY_SECONDS = 0.03;
const PUMP_MILLISECONDS = 100;

/**
 * Events: "change" when state, track or position jumped; "tick" with every frame drawn while it plays.
 *
 * @property {Track|null} track
 * @property {"paused"|"playing"|"buffering"} state "buffering": will play as soon as there is enough
 */
export class Player extends EventTarget {
  #context = null;
  #analyser = null;
  #samples = null;
  #voice = null; // what sounds now: {gain, nodes, startedAt, from, scheduled}
  #position = 0; // seconds, while nothing sounds
  #arrivals = new WeakMap(); // track -> {time, seconds} of its first samples, to tell how fast it grows
  #starved = false;
  #timer = 0;
  #frame = 0;
  #onAppend = () => this.#arrived();

  track = null;
  state = "paused";

  /** Opens the audio device. Browsers allow that in answer to a click or a key only. */
  unlock() {
    if (!this.#context) {
      this.#context = new AudioContext({ latencyHint: "interactive" });
      this.#analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
      this.#analyser.connect(this.#context.destination);
      this.#samples = new Float32Array(this.#analyser.fftSize);
    }
    if (this.#context.state !== "running") void this.#context.resume();
  }

  /** Seconds into the track. */
  get position() {
    if (!this.#voice) return this.#position;
    const elapsed = Math.max(0, this.#context.currentTime - this.#voice.startedAt);
    return Math.min(this.#voice.from + elapsed, this.#voice.scheduled);
  }

  /** The audio device's clock, seconds; 0 before it was opened. */
  get clock() {
    return this.#context?.currentTime ?? 0;
  }

  /** RMS of what goes to the loudspeaker now, 0 … 1. */
  get level() {
    if (!this.#analyser) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length);
  }

  /** Starts `track`, from `position` (default: where it is, or its beginning when it is another one or at its end). */
  play(track = this.track, position = undefined) {
    this.unlock();
    const sameTrack = track === this.track;
    const from = position ?? (sameTrack ? this.position : 0);
    this.#silence();
    this.#hold(track);
    this.#position = track.complete && from >= track.seconds - 0.01 ? 0 : from;
    this.#starved = false;
    this.#become("buffering");
    this.#pump();
  }

  pause() {
    this.#position = this.position;
    this.#silence();
    this.#become("paused");
  }

  toggle(track) {
    if (track === this.track && this.state !== "paused") this.pause();
    else this.play(track);
  }

  /** Jumps, within what is there; goes on playing if it did. */
  seek(track, position) {
    const bounded = Math.max(0, Math.min(position, track.seconds));
    if (track === this.track && this.state !== "paused") {
      this.play(track, Math.min(bounded, Math.max(0, track.seconds - 0.02)));
    } else {
      this.#silence();
      this.#hold(track);
      this.#position = bounded;
      this.#become("paused");
    }
  }

  /** Another track at the same position, playing or not: for A/B. */
  switchTo(track) {
    if (track === this.track) return;
    const position = Math.min(this.position, Math.max(0, track.seconds - 0.02));
    if (this.state === "paused") this.seek(track, position);
    else this.play(track, position);
  }

  #hold(track) {
    if (track === this.track) return;
    this.track?.removeEventListener("append", this.#onAppend);
    this.track?.removeEventListener("end", this.#onAppend);
    this.track = track;
    track.addEventListener("append", this.#onAppend);
    track.addEventListener("end", this.#onAppend);
  }

  #become(state) {
    this.state = state;
    clearInterval(this.#timer);
    if (state !== "paused") {
      this.#timer = setInterval(() => this.#pump(), PUMP_MILLISECONDS);
      this.#tick();
    }
    this.dispatchEvent(new Event("change"));
  }

  #tick() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.dispatchEvent(new Event("tick"));
      if (this.state !== "paused") this.#tick();
    });
  }

  #arrived() {
    const track = this.track;
    if (!this.#arrivals.has(track)) this.#arrivals.set(track, { time: performance.now(), seconds: track.seconds });
    this.#pump();
  }

  #pump() {
    if (this.state === "playing") {
      this.#schedule();
      if (this.position < this.#voice.scheduled - 0.001) return;
      if (this.#playable() > this.#voice.scheduled + 0.001) return;
      this.#position = this.#voice.scheduled;
      this.#silence();
      this.#starved = !this.track.complete;
      this.#become(this.track.complete ? "paused" : "buffering");
    } else if (this.state === "buffering" && this.#enough()) {
      const gain = new GainNode(this.#context, { gain: 0 });
      // On a whole sample: between two, every piece would be interpolated, and its edges heard.
      const rate = this.#context.sampleRate;
      const startedAt = Math.ceil((this.#context.currentTime + START_DELAY_SECONDS) * rate) / rate;
      gain.connect(this.#analyser);
      gain.gain.setValueAtTime(0, startedAt);
      gain.gain.linearRampToValueAtTime(1, startedAt + FADE_SECONDS);
      this.#voice = { gain, nodes: new Set(), startedAt, from: this.#position, scheduled: this.#position };
      this.#become("playing");
      this.#schedule();
    }
  }

  /** Seconds of the track that can be played in their final form. */
  #playable() {
    const track = this.track;
    if (track.complete) return track.seconds;
    return Math.max(0, track.length - lookAhead(track.sampleRate, this.#context.sampleRate)) / track.sampleRate;
  }

  /** Whether to start: at once at first; after a gap, when the rest will be there in time. */
  #enough() {
    const ahead = this.#playable() - this.#position;
    if (this.track.complete) return ahead > 0;
    if (!this.#starved) return ahead >= FIRST_BUFFER_SECONDS;
    const arrival = this.#arrivals.get(this.track);
    if (!arrival || ahead < FIRST_BUFFER_SECONDS) return false;
    const speed = (this.track.seconds - arrival.seconds) / ((performance.now() - arrival.time) / 1000);
    const stillToMake = this.track.expectedSeconds - this.track.seconds;
    return stillToMake / speed + FIRST_BUFFER_SECONDS <= this.track.expectedSeconds - this.#position;
  }

  #schedule() {
    const voice = this.#voice;
    const rate = this.#context.sampleRate;
    const end = Math.min(this.#playable(), this.position + SCHEDULED_SECONDS);
    while (end - voice.scheduled > 0.5 / rate) {
      const start = Math.round(voice.scheduled * rate);
      const count = Math.round(Math.min(end - voice.scheduled, PIECE_SECONDS) * rate);
      if (count === 0) return;
      const node = new AudioBufferSourceNode(this.#context, { buffer: this.#piece(start, count) });
      node.connect(voice.gain);
      voice.nodes.add(node);
      node.onended = () => voice.nodes.delete(node);
      node.start(voice.startedAt + (start - Math.round(voice.from * rate)) / rate);
      voice.scheduled = (start + count) / rate;
    }
  }

  #piece(start, count) {
    const { track } = this;
    const rate = this.#context.sampleRate;
    const buffer = new AudioBuffer({ length: count, sampleRate: rate, numberOfChannels: track.channelCount });
    for (let channel = 0; channel < track.channelCount; channel++) {
      buffer.copyToChannel(resampled(track.channel(channel), track.sampleRate, rate, start, count), channel);
    }
    return buffer;
  }

  #silence() {
    if (!this.#voice) return;
    const { gain, nodes } = this.#voice;
    const now = this.#context.currentTime;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setTargetAtTime(0, now, FADE_SECONDS / 4);
    for (const node of nodes) node.stop(now + FADE_SECONDS);
    setTimeout(() => gain.disconnect(), 200);
    this.#voice = null;
  }
}
