/** The studio: puts the parts together. Each part knows its own piece of the page and nothing of the others. */

import { download } from "./audio/files.js";
import { Player } from "./audio/player.js";
import { wav16, wavFloat } from "./audio/wav.js";
import { announce, byId } from "./dom.js";
import { Analysis } from "./studio/analysis.js";
import { Clip, shortSeed } from "./studio/clip.js";
import { Compare } from "./studio/compare.js";
import { Composer } from "./studio/composer.js";
import { acceptDroppedFiles } from "./studio/dropping.js";
import { Health } from "./studio/health.js";
import { History } from "./studio/history.js";
import { Notice } from "./studio/notice.js";
import { Stage } from "./studio/stage.js";
import { Tabs } from "./studio/tabs.js";

const player = new Player();
const tabs = new Tabs(byId("tabs"));
const health = new Health();
const notice = new Notice(byId("notice"));
const analysis = new Analysis(player);
const composer = new Composer({ onGenerate: (wish) => void generate(wish), onCancel: () => working?.cancel() });
const stage = new Stage(player, { useAgain, continueClip, analyzeClip, saveClip });
const compare = new Compare(player, { onClose: endComparison });
const history = new History(player, { onSelect: select, onPlay: playClip, onCompare: compareClips, onRemove: removeClip });
let working = null; // the clip that is being generated
let comparing = [];

async function generate(wish) {
  player.unlock(); // while the click that led here still counts
  notice.clear();
  const clip = new Clip(wish);
  const before = stage.clip;
  working = clip;
  composer.busy = true;
  announce("Generating");
  clip.addEventListener("change", () => begin(clip), { once: true });
  endComparison();
  stage.show(clip);
  bringIntoView(byId("stage"));
  try {
    await clip.generate();
    announce(clip.state === "complete" ? `Done: ${clip.track.seconds.toFixed(1)} seconds` : "Stopped");
  } catch (problem) {
    notice.show(problem, problem.status === 400 || problem.status === 422 ? null : () => void generate(wish));
    void health.check();
    composer.busy = false;
    composer.showProblem(problem);
  } finally {
    working = null;
    composer.busy = false;
    if (!clip.track && stage.clip === clip) select(before);
  }
}

/** The first sound is there: it joins the history and is heard. */
function begin(clip) {
  if (!clip.track) return;
  history.add(clip);
  history.mark(clip);
  if (player.state === "paused" || stage.clip === clip) player.play(clip.track, 0);
  announce("The first sound is here");
}

function select(clip) {
  endComparison();
  stage.show(clip);
  history.mark(clip);
}

function playClip(clip) {
  if (!comparing.includes(clip)) select(clip);
  player.toggle(clip.track);
}

function removeClip(clip) {
  if (player.track === clip.track && clip.track) player.pause();
  if (clip === working) clip.cancel();
  if (stage.clip === clip) select(null);
}

function useAgain(clip) {
  composer.useAgain(clip);
  announce("The form holds this clip's settings and seed");
}

function continueClip(clip) {
  composer.continueClip(clip, wavFloat(clip.track));
}

function analyzeClip(clip) {
  openAnalysis(new File([wavFloat(clip.track)], "clip.wav", { type: "audio/wav" }), clip.title, clip.track);
}

/** Downloads a clip: a WAV is written here, anything else is made again by the server from the seed. */
async function saveClip(clip, format) {
  notice.clear();
  const name = `${clip.title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "clip"}-${clip.seed}.${format}`;
  try {
    download(format === "wav" ? wav16(clip.track) : await clip.remade(format), name);
    announce(`${name} is downloaded`);
  } catch (problem) {
    notice.show(problem, () => void saveClip(clip, format));
  }
}

function compareClips(clips) {
  comparing = clips;
  const both = clips.length === 2;
  byId("comparison").hidden = !both;
  byId("stage").hidden = both;
  byId("compare-hint").hidden = clips.length !== 1;
  if (!both) return;
  compare.show(clips.map((clip) => ({ title: `${clip.title} · seed ${shortSeed(clip.seed)}`, track: clip.track })));
  announce("Two clips are compared: choose A or B");
}

function endComparison() {
  if (comparing.length === 0) return;
  history.endComparison();
  compareClips([]);
}

function openAnalysis(file, title, track = null) {
  tabs.open("tab-analyze");
  byId("tab-analyze").focus();
  void analysis.open(file, title, track);
}

/** Where the page is one column, what was asked for may be below the fold. */
function bringIntoView(element) {
  if (!matchMedia("(max-width: 880px)").matches) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
}

byId("comparison-view").append(compare.element);
acceptDroppedFiles((file) => openAnalysis(file, file.name));
health.start();

// For the browser's console and for tests: what is heard, and what is on the stage.
window.studio = { player, stage };
