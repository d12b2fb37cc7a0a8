/** Audio files of the user, decoded by the browser. */

import { Track } from "./track.js";

const DECODING_RATE = 48_000;

/**
 * A file's sound, for drawing and playing.
 *
 * @param {Blob} file
 * @returns {Promise<Track|null>} null where this browser can't decode the format; the server may still know it
 */
export async function decodedTrack(file) {
  const context = new OfflineAudioContext(1, 1, DECODING_RATE);
  try {
    const buffer = await context.decodeAudioData(await file.arrayBuffer());
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
    return Track.of(channels, buffer.sampleRate);
  } catch {
    return null;
  }
}

/** A file as base64, for JSON. @param {Blob} file */
export async function base64Of(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

/** Hands a file to the browser's downloads. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
