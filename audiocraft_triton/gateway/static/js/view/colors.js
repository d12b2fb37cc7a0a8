/** Colours of the drawings: what CSS says, and colormaps whose lightness rises evenly with loudness. */

/** From silent to loud, in OKLCH: lightness, chroma, hue. */
const STOPS = {
  dark: [[0.19, 0.012, 220], [0.33, 0.06, 250], [0.49, 0.1, 215], [0.66, 0.125, 172], [0.84, 0.14, 120], [0.97, 0.06, 100]],
  light: [[0.985, 0.004, 190], [0.89, 0.045, 180], [0.72, 0.1, 182], [0.52, 0.1, 222], [0.34, 0.09, 262], [0.18, 0.04, 285]],
};
const maps = new Map();

/** 256 colours as little-endian RGBA words. @param {"dark"|"light"} theme */
export function colormap(theme) {
  if (!maps.has(theme)) {
    const stops = STOPS[theme].map(([l, c, h]) => [l, c * Math.cos((h * Math.PI) / 180), c * Math.sin((h * Math.PI) / 180)]);
    maps.set(theme, Uint32Array.from({ length: 256 }, (_, i) => word(between(stops, (i / 255) * (stops.length - 1)))));
  }
  return maps.get(theme);
}

/** "dark" or "light", whichever the page shows. */
export const currentTheme = () => document.documentElement.dataset.theme;

/** A custom property of the page's style, such as "--accent". */
export const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Calls back when the theme has changed. */
export function onThemeChange(callback) {
  const observer = new MutationObserver(callback);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
}

function between(stops, at) {
  const index = Math.min(Math.floor(at), stops.length - 2);
  return stops[index].map((value, axis) => value + (stops[index + 1][axis] - value) * (at - index));
}

/** OKLab to sRGB, by Björn Ottosson's published matrices. */
function word([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const red = byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
  const green = byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
  const blue = byte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function byte(linear) {
  const bounded = Math.max(0, Math.min(1, linear));
  return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
}
