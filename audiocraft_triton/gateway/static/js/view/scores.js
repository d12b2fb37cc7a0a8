/** The discriminators' scores over time, drawn over a spectrogram. */

const COLORS = {
  dark: { outline: "rgb(0 0 0 / 0.7)", line: "#ffffff", threshold: "#ffd166" },
  light: { outline: "rgb(255 255 255 / 0.85)", line: "#141c1e", threshold: "#9a3412" },
};

/** The mean of the three scores of a window. */
const meanScore = (window) => (window.mpd + window.msd + window.msstftd) / 3;

/**
 * @param {{windows: {start, mpd, msd, msstftd}[], windowSeconds: number, threshold: number}} scores
 * each window's score stands at its middle; the first and the last reach to the clip's ends.
 */
export function drawScores(pen, box, seconds, { windows, windowSeconds, threshold }, theme) {
  const colors = COLORS[theme];
  const x = (time) => box.x + (Math.max(0, Math.min(seconds, time)) / seconds) * box.width;
  const y = (score) => box.y + box.height * (1 - score * 0.92 - 0.04);
  const middles = windows.map((window) => [x(window.start + windowSeconds / 2), y(meanScore(window))]);
  const points = [[x(0), middles[0][1]], ...middles, [x(seconds), middles.at(-1)[1]]];
  pen.save();
  pen.lineJoin = "round";
  pen.setLineDash([5, 4]);
  stroke(pen, [[box.x, y(threshold)], [box.x + box.width, y(threshold)]], colors.threshold, 1.5, colors.outline);
  pen.setLineDash([]);
  stroke(pen, points, colors.line, 2.25, colors.outline);
  for (const [px, py] of middles) dot(pen, px, py, colors);
  pen.restore();
  pen.textBaseline = "bottom";
  label(pen, `real from ${threshold.toFixed(2)}`, box.x + 7, y(threshold) - 4, colors.threshold, colors.outline);
}

function stroke(pen, points, color, width, outline) {
  pen.beginPath();
  points.forEach(([px, py], index) => (index === 0 ? pen.moveTo(px, py) : pen.lineTo(px, py)));
  for (const [style, extra] of [[outline, 2.5], [color, 0]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width + extra;
    pen.stroke();
  }
}

function dot(pen, x, y, { outline, line }) {
  for (const [style, radius] of [[outline, 4.5], [line, 3]]) {
    pen.fillStyle = style;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }
}

function label(pen, text, x, y, color, outline) {
  pen.textAlign = "left";
  pen.strokeStyle = outline;
  pen.lineWidth = 2.5;
  pen.fillStyle = color;
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
}
