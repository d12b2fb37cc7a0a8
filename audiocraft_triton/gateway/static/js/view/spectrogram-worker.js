/**
 * Computes spectrogram columns beside the page, so that typing and playing never wait for them.
 *
 * In: {id, sampleRate, hop} opens a signal; {id, samples} adds to it; {id, end: true} finishes it; {id, close: true}
 * forgets it. Out: {id, first, columns}, ROWS bytes a column from low to high frequency, 0 … 255 for FLOOR … CEILING dB.
 */

import { PowerSpectrum } from "./fft.js";
import { hertz, mel } from "./mel.js";
import { CEILING_DECIBELS, FLOOR_DECIBELS, ROWS } from "./spectrogram-scale.js";

const spectra = new Map();
const signals = new Map();

class Signal {
  #spectrum;
  #power;
  #rows;
  #hop;
  #size;
  #pending;
  #columns = 0;

  constructor(sampleRate, hop) {
    this.#size = 2 ** Math.round(Math.log2(sampleRate * 0.064));
    if (!spectra.has(this.#size)) spectra.set(this.#size, new PowerSpectrum(this.#size));
    this.#spectrum = spectra.get(this.#size);
    this.#power = new Float64Array(this.#size / 2 + 1);
    this.#rows = melRows(sampleRate, this.#size);
    this.#hop = hop;
    // Half a window of silence before: column k is centred on sample k * hop.
    this.#pending = new Float32Array(this.#size / 2);
  }

  add(samples) {
    const joined = new Float32Array(this.#pending.length + samples.length);
    joined.set(this.#pending);
    joined.set(samples, this.#pending.length);
    const count = Math.max(0, Math.floor((joined.length - this.#size) / this.#hop) + 1);
    const columns = new Uint8Array(count * ROWS);
    for (let column = 0; column < count; column++) {
      this.#spectrum.of(joined, column * this.#hop, this.#power);
      this.#rows.forEach((bins, row) => (columns[column * ROWS + row] = level(this.#loudest(bins))));
    }
    this.#pending = joined.subarray(count * this.#hop).slice();
    const first = this.#columns;
    this.#columns += count;
    return { first, columns };
  }

  end() {
    return this.add(new Float32Array(this.#size / 2));
  }

  /** The most powerful bin of a row that is wide, else between its two neighbours. */
  #loudest({ low, high }) {
    const from = Math.ceil(low);
    const to = Math.floor(high);
    if (to <= from) {
      const centre = (low + high) / 2;
      const below = Math.floor(centre);
      const share = centre - below;
      return this.#power[below] * (1 - share) + this.#power[Math.min(below + 1, this.#size / 2)] * share;
    }
    let loudest = 0;
    for (let bin = from; bin <= to; bin++) loudest = Math.max(loudest, this.#power[bin]);
    return loudest;
  }
}

/** Which bins belong to each row: equal steps in mel from 0 to half the sample rate. */
function melRows(sampleRate, size) {
  const top = mel(sampleRate / 2);
  const bin = (row) => (hertz((row / ROWS) * top) * size) / sampleRate;
  return Array.from({ length: ROWS }, (_, row) => ({ low: bin(row), high: bin(row + 1) }));
}

function level(power) {
  const decibels = 10 * Math.log10(power + 1e-20);
  const share = (decibels - FLOOR_DECIBELS) / (CEILING_DECIBELS - FLOOR_DECIBELS);
  return Math.round(255 * Math.max(0, Math.min(1, share)));
}

self.onmessage = ({ data }) => {
  if (data.sampleRate) signals.set(data.id, new Signal(data.sampleRate, data.hop));
  else if (data.close) signals.delete(data.id);
  else if (signals.has(data.id)) {
    const signal = signals.get(data.id);
    const { first, columns } = data.end ? signal.end() : signal.add(data.samples);
    if (columns.length > 0) self.postMessage({ id: data.id, first, columns }, [columns.buffer]);
  }
};
