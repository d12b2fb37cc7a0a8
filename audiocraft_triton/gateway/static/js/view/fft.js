/** Power spectra of real signals: a radix-2 FFT with its tables made once. */

export class PowerSpectrum {
  #size;
  #cosines;
  #sines;
  #order;
  #real;
  #imaginary;
  #window;
  #scale;

  /** @param {number} size samples of a window, a power of two */
  constructor(size) {
    this.#size = size;
    this.#cosines = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.#sines = Float64Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
    const bits = Math.log2(size);
    this.#order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      return reversed;
    });
    this.#real = new Float64Array(size);
    this.#imaginary = new Float64Array(size);
    this.#window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    // A sine at full scale has a power of 1: its window sums to size / 2, and half of it is at negative frequencies.
    this.#scale = (4 / size) ** 2;
  }

  /** Power of each bin, 0 to size / 2, of `samples` from `start`, under a Hann window; 1 is a full-scale sine. */
  of(samples, start, power) {
    const real = this.#real;
    const imaginary = this.#imaginary;
    for (let i = 0; i < this.#size; i++) real[this.#order[i]] = samples[start + i] * this.#window[i];
    imaginary.fill(0);
    for (let half = 1; half < this.#size; half *= 2) {
      const step = this.#size / (2 * half);
      for (let group = 0; group < this.#size; group += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = group + k;
          const b = a + half;
          const cosine = this.#cosines[k * step];
          const sine = this.#sines[k * step];
          const r = real[b] * cosine - imaginary[b] * sine;
          const i = real[b] * sine + imaginary[b] * cosine;
          real[b] = real[a] - r;
          imaginary[b] = imaginary[a] - i;
          real[a] += r;
          imaginary[a] += i;
        }
      }
    }
    for (let bin = 0; bin <= this.#size / 2; bin++) {
      power[bin] = (real[bin] ** 2 + imaginary[bin] ** 2) * this.#scale;
    }
    return power;
  }
}
