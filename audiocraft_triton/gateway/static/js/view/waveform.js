/** A track's waveform: for each pixel the lowest and highest sample, and the RMS within. */

const BUCKET = 128;

/** Extremes and energy of each 128 samples, kept up with a growing track. */
export class Envelope {
  #track;
  #low = [];
  #high = [];
  #energy = [];

  constructor(track) {
    this.#track = track;
  }

  /** Draws it into a box that is `seconds` wide. */
  draw(pen, box, seconds, color) {
    this.#update();
    const perPixel = (seconds * this.#track.sampleRate) / BUCKET / box.width;
    const middle = box.y + box.height / 2;
    const scale = (box.height / 2) * 0.96;
    const pixels = Math.min(box.width, Math.ceil(this.#low.length / perPixel));
    pen.fillStyle = color;
    for (let x = 0; x < pixels; x++) {
      const { low, high, rms } = this.#between(Math.floor(x * perPixel), Math.max(1, Math.ceil(perPixel)));
      pen.globalAlpha = 0.45;
      pen.fillRect(box.x + x, middle - high * scale, 1, Math.max(1, (high - low) * scale));
      pen.globalAlpha = 1;
      pen.fillRect(box.x + x, middle - rms * scale, 1, Math.max(1, 2 * rms * scale));
    }
  }

  #between(first, count) {
    let low = 0;
    let high = 0;
    let energy = 0;
    const last = Math.min(first + count, this.#low.length);
    for (let i = first; i < last; i++) {
      low = Math.min(low, this.#low[i]);
      high = Math.max(high, this.#high[i]);
      energy += this.#energy[i];
    }
    return { low: Math.max(-1, low), high: Math.min(1, high), rms: Math.min(1, Math.sqrt(energy / Math.max(1, last - first))) };
  }

  #update() {
    const start = this.#low.length * BUCKET;
    const available = this.#track.complete ? Math.ceil(this.#track.length / BUCKET) : Math.floor(this.#track.length / BUCKET);
    if (available * BUCKET <= start) return;
    const samples = this.#track.mono(start, Math.min(available * BUCKET, this.#track.length));
    for (let from = 0; from < samples.length; from += BUCKET) {
      let low = 0;
      let high = 0;
      let energy = 0;
      const to = Math.min(from + BUCKET, samples.length);
      for (let i = from; i < to; i++) {
        low = Math.min(low, samples[i]);
        high = Math.max(high, samples[i]);
        energy += samples[i] ** 2;
      }
      this.#low.push(low);
      this.#high.push(high);
      this.#energy.push(energy / (to - from));
    }
  }
}
