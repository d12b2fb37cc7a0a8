/** What the demo models were taught words for: a short name, and the text that it stands for. */
export const EXAMPLES = {
  music: {
    "Calm piano": "slow calm solo piano in C major",
    "Fast rock": "fast energetic rock with distorted guitar and drums",
    "Sad strings": "slow sad strings in E minor",
    "Slow jazz": "slow calm jazz with saxophone and drums",
    "Happy disco": "fast happy disco with drums",
    "Dark synths": "dark synthwave with synth lead",
    "Folk, no drums": "fast happy folk music without drums",
  },
  audio: {
    Rain: "heavy rain",
    Beeps: "fast electronic beeps",
    Birds: "birds singing",
    Fire: "a crackling fire",
    Footsteps: "footsteps",
    Siren: "a siren",
    "Drum loop": "a drum loop",
    Wind: "wind blowing",
  },
};
