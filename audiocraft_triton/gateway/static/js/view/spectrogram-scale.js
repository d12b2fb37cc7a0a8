/** What the spectrogram's two halves, page and worker, agree on. */

export const ROWS = 160;
/** Decibels below a full-scale sine. */
export const FLOOR_DECIBELS = -95;
export const CEILING_DECIBELS = -15;
