/**
 * Any stretch of a track at another sample rate, by windowed sinc.
 *
 * A clip has its model's rate (16 or 32 kHz), the sound card its own (often 48 kHz). Each stretch is computed from the
 * track itself, so stretches that are played one after another join without a seam.
 */

const ZERO_CROSSINGS = 12;
const PHASES = 256;
const kernels = new Map();

/**
 * @param {Float32Array} source samples at `sourceRate`
 * @param {number} start first wanted sample, counted at `targetRate`
 * @param {number} count how many
 */
export function resampled(source, sourceRate, targetRate, start, count) {
  if (sourceRate === targetRate) {
    const copy = new Float32Array(count);
    copy.set(source.subarray(start, start + count));
    return copy;
  }
  const { taps, half } = kernelFor(sourceRate, targetRate);
  const target = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const position = ((start + i) * sourceRate) / targetRate;
    const centre = Math.floor(position);
    const row = Math.round((position - centre) * PHASES) * 2 * half;
    const first = Math.max(0, half - 1 - centre);
    const last = Math.min(2 * half, source.length + half - 1 - centre);
    let sum = 0;
    for (let tap = first; tap < last; tap++) sum += source[centre - half + 1 + tap] * taps[row + tap];
    target[i] = sum;
  }
  return target;
}

/** How many samples beyond a point must be there before the sound at that point is final. */
export function lookAhead(sourceRate, targetRate) {
  return sourceRate === targetRate ? 0 : kernelFor(sourceRate, targetRate).half + 1;
}

/** Taps for every phase between two source samples: row p of 2 * half taps, Hann-windowed. */
function kernelFor(sourceRate, targetRate) {
  const key = `${sourceRate}/${targetRate}`;
  if (!kernels.has(key)) {
    const cutoff = Math.min(1, targetRate / sourceRate);
    const half = Math.ceil(ZERO_CROSSINGS / cutoff);
    const taps = new Float32Array((PHASES + 1) * 2 * half);
    for (let phase = 0; phase <= PHASES; phase++) {
      for (let tap = 0; tap < 2 * half; tap++) {
        const distance = tap - half + 1 - phase / PHASES;
        const window = Math.abs(distance) < half ? 0.5 + 0.5 * Math.cos((Math.PI * distance) / half) : 0;
        taps[phase * 2 * half + tap] = cutoff * sinc(cutoff * distance) * window;
      }
    }
    kernels.set(key, { taps, half });
  }
  return kernels.get(key);
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
