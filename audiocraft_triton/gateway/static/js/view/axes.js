/** Axes: seconds below, hertz at the side, and text that says where one is. */

import { mel } from "./mel.js";

const TIME_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60];
const FREQUENCIES = [250, 500, 1000, 2000, 4000, 8000, 16_000];
const LABEL_PIXELS = 56;

/** 75.25 -> "1:15.2" */
export function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

/** Ticks below `box`, as many as fit. */
export function drawTimeAxis(pen, box, seconds, color) {
  const step = TIME_STEPS.find((candidate) => (candidate / seconds) * box.width >= LABEL_PIXELS) ?? 60;
  pen.fillStyle = color;
  pen.textBaseline = "top";
  for (let n = 0; n * step <= seconds + 1e-9; n++) {
    const x = box.x + ((n * step) / seconds) * box.width;
    pen.fillRect(Math.round(x), box.y + box.height, 1, 4);
    pen.textAlign = n === 0 ? "left" : x > box.x + box.width - 12 ? "right" : "center";
    const label = step < 1 ? (n * step).toFixed(1) : String(Math.round(n * step));
    pen.fillText(`${label} s`, x, box.y + box.height + 6);
  }
}

/** Labels left of `box`, spaced as the spectrogram's rows are. */
export function drawFrequencyAxis(pen, box, topFrequency, color) {
  pen.fillStyle = color;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  let lastY = Infinity;
  for (const frequency of FREQUENCIES) {
    const y = box.y + box.height * (1 - mel(frequency) / mel(topFrequency));
    if (frequency > topFrequency || lastY - y < 14) continue;
    lastY = y;
    pen.fillRect(box.x - 4, Math.round(y), 4, 1);
    const label = frequency < 1000 ? `${frequency}` : `${frequency / 1000}k`;
    pen.fillText(label, box.x - 7, Math.max(y, box.y + 6));
  }
  if (box.y + box.height - lastY > 22) pen.fillText("Hz", box.x - 7, box.y + box.height - 5);
}
