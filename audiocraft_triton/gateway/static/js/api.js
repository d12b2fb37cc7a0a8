/** The gateway's endpoints. Every failure is a Problem, whatever went wrong on the way. */

import { apiKey, askForKey } from "./api-key.js";

/** A call that did not succeed: RFC 9457's members, and what the page needs beside them. */
export class Problem extends Error {
  /** @param {{status?: number, title?: string, detail?: string, errors?: object[], retryAfter?: number}} members */
  constructor({ status = 0, title = "", detail = "", errors = [], retryAfter = null, requestId = null }) {
    super(detail || title);
    Object.assign(this, { status, title, detail, errors, retryAfter, requestId });
  }
}

const AUDIO_TYPES = { wav: "audio/wav", flac: "audio/flac", mp3: "audio/mpeg", ogg: "audio/ogg" };

/**
 * Starts a generation and gives its sound as it is made.
 *
 * @param {"music"|"audio"} kind
 * @param {object} request the body; `seed` as a string of digits, since it may exceed what a JS number can hold
 * @param {AbortSignal} signal disconnects, which frees the server's slot
 * @returns {Promise<{seed: string, sampleRate: number, channels: number, pieces: AsyncGenerator<Float32Array[]>}>}
 */
export async function streamGeneration(kind, request, signal) {
  const response = await post(`generate/${kind}/stream`, jsonBody({ ...request, format: "pcm_f32" }), signal);
  const channels = Number(response.headers.get("X-Channels") ?? 1);
  return {
    seed: response.headers.get("X-Seed"),
    sampleRate: Number(response.headers.get("X-Sample-Rate")),
    channels,
    pieces: float32Pieces(response.body, channels, signal),
  };
}

/** A whole clip as a file. @returns {Promise<Blob>} */
export async function generateFile(kind, request, format) {
  const response = await post(`generate/${kind}`, jsonBody({ ...request, format }));
  return new Blob([await response.arrayBuffer()], { type: AUDIO_TYPES[format] });
}

/** A file's scores; see the gateway's OpenAPI. The verdict is the page's own, so no threshold is sent. */
export async function analyze(file) {
  return (await post("analyze", fileBody(file))).json();
}

/** A file's EnCodec codes. */
export async function encode(file) {
  return (await post("encode?format=json", fileBody(file))).json();
}

/** Codes back to sound. @returns {Promise<ArrayBuffer>} a 16-bit WAV file */
export async function decode(codes) {
  return (await post("decode", jsonBody({ codes, format: "wav" }))).arrayBuffer();
}

/** The state of everything behind the page: also when that is bad, so never a Problem unless nothing answers. */
export async function health() {
  const response = await request("health", { method: "GET" });
  return response.json();
}

function jsonBody({ seed, ...members }) {
  let text = JSON.stringify(members);
  if (seed) text = `${text.slice(0, -1)},"seed":${seed}}`;
  return { body: text, headers: { "Content-Type": "application/json" } };
}

function fileBody(file) {
  const body = new FormData();
  body.append("file", file, file.name ?? "clip.wav");
  return { body, headers: {} };
}

async function post(path, { body, headers }, signal) {
  const response = await request(path, { method: "POST", body, headers, signal });
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401 && (await askForKey())) return post(path, { body, headers }, signal);
  throw problem;
}

async function request(path, { headers = {}, ...options }) {
  const key = apiKey();
  const authorization = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    return await fetch(new URL(path, document.baseURI), { ...options, headers: { ...headers, ...authorization } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem({ title: "No answer" });
  }
}

async function problemOf(response) {
  const retryAfter = Number.parseFloat(response.headers.get("Retry-After"));
  const requestId = response.headers.get("X-Request-ID");
  let members = {};
  try {
    members = await response.json();
  } catch {
    // A proxy's own error page: its status has to do.
  }
  return new Problem({
    title: members.title ?? response.statusText,
    detail: members.detail,
    errors: Array.isArray(members.errors) ? members.errors : [],
    status: response.status,
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
    requestId,
  });
}

/** A body of interleaved little-endian floats, by channel; network pieces may end within a sample. */
async function* float32Pieces(body, channels, signal) {
  const reader = body.getReader();
  const frameBytes = 4 * channels;
  let rest = new Uint8Array(0);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const bytes = new Uint8Array(rest.length + value.length);
      bytes.set(rest);
      bytes.set(value, rest.length);
      const frames = Math.floor(bytes.length / frameBytes);
      rest = bytes.slice(frames * frameBytes);
      if (frames > 0) yield deinterleaved(bytes.buffer, frames, channels);
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem({ title: "Broken off", detail: "The connection broke before the clip was complete." });
  } finally {
    reader.releaseLock();
  }
}

function deinterleaved(buffer, frames, channels) {
  const view = new DataView(buffer);
  return Array.from({ length: channels }, (_, channel) =>
    Float32Array.from({ length: frames }, (_, frame) => view.getFloat32(4 * (frame * channels + channel), true)),
  );
}
