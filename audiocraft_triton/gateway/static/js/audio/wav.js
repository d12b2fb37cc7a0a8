/** WAV files, written and read in the page: downloads, continuations, decoded clips at their own rate. */

const PCM = 1;
const FLOAT = 3;
const HEADER_BYTES = 44;

/** A 16-bit file, for people; scaled as the server's own. @returns {Blob} */
export function wav16(track) {
  const { view, blob } = file(track, PCM, 16);
  interleave(track, (sample, index) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    view.setInt16(HEADER_BYTES + 2 * index, Math.round(clipped * 32767), true);
  });
  return blob();
}

/** A 32-bit float file that keeps every bit, for the server. @returns {Blob} */
export function wavFloat(track) {
  const { view, blob } = file(track, FLOAT, 32);
  interleave(track, (sample, index) => view.setFloat32(HEADER_BYTES + 4 * index, sample, true));
  return blob();
}

/**
 * A 16-bit WAV's samples at its own rate; a browser's decoder would resample them.
 *
 * @param {ArrayBuffer} data
 * @returns {{channels: Float32Array[], sampleRate: number}}
 */
export function readWav16(data) {
  const view = new DataView(data);
  const chunks = chunksOf(view);
  const format = chunks.get("fmt ");
  const audio = chunks.get("data");
  if (!format || !audio || view.getUint16(format.start, true) !== PCM || view.getUint16(format.start + 14, true) !== 16) {
    throw new Error("not a 16-bit WAV file");
  }
  const channelCount = view.getUint16(format.start + 2, true);
  const frames = Math.floor(audio.bytes / (2 * channelCount));
  const channels = Array.from({ length: channelCount }, () => new Float32Array(frames));
  for (let frame = 0; frame < frames; frame++) {
    for (let channel = 0; channel < channelCount; channel++) {
      channels[channel][frame] = view.getInt16(audio.start + 2 * (frame * channelCount + channel), true) / 32768;
    }
  }
  return { channels, sampleRate: view.getUint32(format.start + 4, true) };
}

function chunksOf(view) {
  const chunks = new Map();
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const name = String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
    const bytes = view.getUint32(at + 4, true);
    chunks.set(name, { start: at + 8, bytes: Math.min(bytes, view.byteLength - at - 8) });
    at += 8 + bytes + (bytes % 2);
  }
  return chunks;
}

function file(track, encoding, bits) {
  const frameBytes = (track.channelCount * bits) / 8;
  const dataBytes = track.length * frameBytes;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + dataBytes));
  const text = (at, value) => [...value].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, encoding, true);
  view.setUint16(22, track.channelCount, true);
  view.setUint32(24, track.sampleRate, true);
  view.setUint32(28, track.sampleRate * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, bits, true);
  text(36, "data");
  view.setUint32(40, dataBytes, true);
  return { view, blob: () => new Blob([view.buffer], { type: "audio/wav" }) };
}

function interleave(track, write) {
  const channels = Array.from({ length: track.channelCount }, (_, index) => track.channel(index));
  for (let frame = 0; frame < track.length; frame++) {
    channels.forEach((samples, channel) => write(samples[frame], frame * channels.length + channel));
  }
}
