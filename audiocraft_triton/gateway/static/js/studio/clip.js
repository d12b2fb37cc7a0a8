/** One clip of the session, and how it is generated. */

import { base64Of } from "../audio/files.js";
import { Track } from "../audio/track.js";
import { generateFile, Problem, streamGeneration } from "../api.js";
import { changed } from "./parameters.js";

let count = 0;

/**
 * Events: "change" when its state or what is known about it changed.
 *
 * @property {"waiting"|"generating"|"complete"|"stopped"|"failed"} state
 * @property {Track|null} track from the first samples on
 * @property {string|null} seed a string: seeds may exceed what a JS number can hold
 */
export class Clip extends EventTarget {
  #abort = new AbortController();
  #asked = performance.now();

  /** @param {{kind: "music"|"audio", parameters: object, seed: string, continuation: object|null}} wish */
  constructor({ kind, parameters, seed, continuation }) {
    super();
    this.number = ++count;
    this.kind = kind;
    this.request = parameters;
    this.wishedSeed = seed;
    this.continuation = continuation;
    this.title = parameters.text || "(no text)";
    this.state = "waiting";
    this.track = null;
    this.seed = null;
    this.firstSoundSeconds = null;
    this.totalSeconds = null;
  }

  /** How many seconds of sound a second of work made; the part that was given is not counted. */
  get speed() {
    const made = this.track.seconds - (this.continuation?.seconds ?? 0);
    return made / (this.totalSeconds ?? this.#elapsed());
  }

  /** Whether the server can make the whole clip again. */
  get repeatable() {
    return this.state === "complete" && this.seed !== null;
  }

  /**
   * Generates it.
   *
   * @throws {Problem} the server refused, or the connection broke; not when it was cancelled
   */
  async generate() {
    try {
      const stream = await streamGeneration(this.kind, await this.#body(this.wishedSeed), this.#abort.signal);
      this.seed = stream.seed;
      this.track = new Track(stream.sampleRate, stream.channels, this.request.duration);
      for await (const piece of stream.pieces) {
        this.track.append(piece);
        this.firstSoundSeconds ??= this.#elapsed();
        this.#become("generating");
      }
      if (this.track.length === 0) throw new Problem({ status: 502, detail: "The server sent no sound." });
      this.#end("complete");
    } catch (error) {
      const cancelled = this.#abort.signal.aborted;
      this.#end(cancelled ? "stopped" : "failed");
      if (!cancelled) throw error;
    }
  }

  /** Disconnects; keeps what has arrived. */
  cancel() {
    this.#abort.abort();
  }

  /** The same clip in another format, made again from its seed. @returns {Promise<Blob>} */
  async remade(format) {
    return generateFile(this.kind, await this.#body(this.seed), format);
  }

  async #body(seed) {
    const continuation = this.continuation ? { continuation: await base64Of(this.continuation.file) } : {};
    return { ...changed(this.request), ...continuation, seed };
  }

  #end(state) {
    this.totalSeconds = this.#elapsed();
    this.track?.end();
    this.#become(state);
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  #elapsed() {
    return (performance.now() - this.#asked) / 1000;
  }
}

/** A seed as told from others at a glance. */
export function shortSeed(seed) {
  return seed.length > 8 ? `${seed.slice(0, 4)}…${seed.slice(-3)}` : seed;
}
