/** The mel scale: frequency as the ear spaces it. */

export const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
export const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);
