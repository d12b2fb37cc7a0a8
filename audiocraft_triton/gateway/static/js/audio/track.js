/** One clip's samples, which may still be arriving. Everything that draws, plays or saves a clip reads this. */

/** Samples of the first half second of room; doubled whenever a clip outgrows it. */
const FIRST_CAPACITY = 16_384;

/**
 * Events: "append" when samples came, "end" once when no more will come.
 *
 * @property {number} sampleRate hertz
 * @property {number} length samples per channel so far
 * @property {boolean} complete no more samples will come
 */
export class Track extends EventTarget {
  #channels;
  #expectedLength;

  /** @param {number} expectedSeconds how long it is going to be, as far as known. */
  constructor(sampleRate, channelCount = 1, expectedSeconds = 0) {
    super();
    this.sampleRate = sampleRate;
    this.length = 0;
    this.complete = false;
    this.#expectedLength = Math.round(expectedSeconds * sampleRate);
    this.#channels = Array.from({ length: channelCount }, () => new Float32Array(FIRST_CAPACITY));
  }

  /** A finished track from whole channels (Float32Array each). */
  static of(channels, sampleRate) {
    const track = new Track(sampleRate, channels.length);
    track.append(channels);
    track.end();
    return track;
  }

  get channelCount() {
    return this.#channels.length;
  }

  /** Seconds that are here. */
  get seconds() {
    return this.length / this.sampleRate;
  }

  /** Seconds that there will be: what was asked for, until the end tells better. */
  get expectedSeconds() {
    return Math.max(this.complete ? 0 : this.#expectedLength, this.length) / this.sampleRate;
  }

  /** The samples of one channel that are here: a view, not a copy. */
  channel(index) {
    return this.#channels[index].subarray(0, this.length);
  }

  /** All channels mixed to one, samples `start` to `end`: a copy. */
  mono(start, end) {
    const mixed = this.#channels[0].slice(start, end);
    for (const channel of this.#channels.slice(1)) {
      for (let i = 0; i < mixed.length; i++) mixed[i] += channel[start + i];
    }
    if (this.channelCount > 1) for (let i = 0; i < mixed.length; i++) mixed[i] /= this.channelCount;
    return mixed;
  }

  /** @param {Float32Array[]} channels equally long pieces, one for each channel */
  append(channels) {
    const count = channels[0].length;
    if (this.length + count > this.#channels[0].length) this.#grow(this.length + count);
    channels.forEach((samples, index) => this.#channels[index].set(samples, this.length));
    this.length += count;
    this.dispatchEvent(new Event("append"));
  }

  end() {
    this.complete = true;
    this.dispatchEvent(new Event("end"));
  }

  #grow(needed) {
    const capacity = Math.max(needed, this.#channels[0].length * 2, this.#expectedLength);
    this.#channels = this.#channels.map((samples) => {
      const larger = new Float32Array(capacity);
      larger.set(samples);
      return larger;
    });
  }
}
