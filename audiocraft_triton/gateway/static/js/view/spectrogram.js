/** A track's spectrogram as a picture that grows with the track: one pixel a column, low frequencies at the bottom. */

import { colormap } from "./colors.js";
import { mel } from "./mel.js";
import { ROWS } from "./spectrogram-scale.js";

const MOST_COLUMNS = 1600;
const SHORTEST_HOP_SECONDS = 0.008;
/** Work for one message, so that a long file's picture appears piece by piece. */
const SAMPLES_PER_MESSAGE = 1 << 18;

const open = new Map();
let worker = null;
let lastId = 0;

function startedWorker() {
  if (!worker) {
    worker = new Worker(new URL("./spectrogram-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => open.get(data.id)?.receive(data.first, data.columns);
  }
  return worker;
}

/** Event: "draw" when there is more to see. */
export class Spectrogram extends EventTarget {
  #id = ++lastId;
  #track;
  #hop;
  #levels;
  #columns = 0;
  #sent = 0;
  #ended = false;
  #picture = document.createElement("canvas");
  #pen;
  #palette = null;
  #onAppend = () => this.#send();

  constructor(track) {
    super();
    this.#track = track;
    const expected = track.expectedSeconds * track.sampleRate;
    this.#hop = Math.max(Math.round(SHORTEST_HOP_SECONDS * track.sampleRate), Math.ceil(expected / MOST_COLUMNS));
    this.#picture.width = Math.ceil(expected / this.#hop) + 2;
    this.#picture.height = ROWS;
    this.#pen = this.#picture.getContext("2d");
    this.#levels = new Uint8Array(this.#picture.width * ROWS);
    open.set(this.#id, this);
    startedWorker().postMessage({ id: this.#id, sampleRate: track.sampleRate, hop: this.#hop });
    track.addEventListener("append", this.#onAppend);
    track.addEventListener("end", this.#onAppend);
    this.#send();
  }

  close() {
    this.#track.removeEventListener("append", this.#onAppend);
    this.#track.removeEventListener("end", this.#onAppend);
    open.delete(this.#id);
    startedWorker().postMessage({ id: this.#id, close: true });
  }

  /** Draws it into a box of a canvas that is `seconds` wide and reaches up to `topFrequency`, hertz. */
  draw(pen, box, { seconds, topFrequency }, theme) {
    if (this.#palette !== theme) {
      this.#palette = theme;
      this.#paint(0, this.#columns);
    }
    if (this.#columns === 0) return;
    const perSecond = this.#track.sampleRate / this.#hop;
    const width = (this.#columns / (seconds * perSecond)) * box.width;
    const height = (mel(this.#track.sampleRate / 2) / mel(topFrequency)) * box.height;
    pen.save();
    pen.beginPath();
    pen.rect(box.x, box.y, box.width, box.height);
    pen.clip();
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.#picture, 0, 0, this.#columns, ROWS, box.x, box.y + box.height - height, width, height);
    pen.restore();
  }

  receive(first, columns) {
    const count = Math.min(columns.length / ROWS, this.#picture.width - first);
    if (count <= 0) return;
    this.#levels.set(columns.subarray(0, count * ROWS), first * ROWS);
    this.#columns = first + count;
    if (this.#palette) this.#paint(first, first + count);
    this.dispatchEvent(new Event("draw"));
  }

  #send() {
    while (this.#sent < this.#track.length) {
      const end = Math.min(this.#track.length, this.#sent + SAMPLES_PER_MESSAGE);
      const samples = this.#track.mono(this.#sent, end);
      this.#sent = end;
      startedWorker().postMessage({ id: this.#id, samples }, [samples.buffer]);
    }
    if (this.#track.complete && !this.#ended) {
      this.#ended = true;
      startedWorker().postMessage({ id: this.#id, end: true });
    }
  }

  #paint(from, to) {
    if (to <= from) return;
    const palette = colormap(this.#palette);
    const image = this.#pen.createImageData(to - from, ROWS);
    const pixels = new Uint32Array(image.data.buffer);
    for (let column = from; column < to; column++) {
      for (let row = 0; row < ROWS; row++) {
        pixels[(ROWS - 1 - row) * (to - from) + column - from] = palette[this.#levels[column * ROWS + row]];
      }
    }
    this.#pen.putImageData(image, from, 0);
  }
}
