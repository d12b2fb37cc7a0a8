/** What can be set about a generation. Bounds are the server's; a slider covers the part that is worth hearing. */

export const PARAMETERS = [
  {
    name: "duration",
    label: "Length",
    unit: "s",
    value: 10,
    min: 0.1,
    max: 300,
    slider: { min: 1, max: 30, step: 0.5 },
    help: "Beyond the model's window it goes on by looking back.",
  },
  {
    name: "temperature",
    label: "Variety",
    value: 1,
    min: 0,
    max: 10,
    slider: { min: 0, max: 2, step: 0.05 },
    help: "Temperature. 0 always takes the likeliest next sound; higher surprises more.",
    detailed: true,
  },
  {
    name: "cfg_coef",
    label: "Closeness to the text",
    value: 3,
    min: 0,
    max: 20,
    slider: { min: 1, max: 10, step: 0.1 },
    help: "Guidance. 1 is none; too high sounds strained.",
    detailed: true,
  },
  {
    name: "top_k",
    label: "Top k",
    value: 250,
    min: 0,
    max: 2147483647,
    whole: true,
    slider: { min: 0, max: 500, step: 5 },
    help: "Choose among the k likeliest sounds at each step. 0: among all.",
    detailed: true,
  },
  {
    name: "top_p",
    label: "Top p",
    value: 0,
    min: 0,
    max: 1,
    slider: { min: 0, max: 1, step: 0.01 },
    help: "Choose among the likeliest that make up this share. Above 0 it replaces top k.",
    detailed: true,
  },
];

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
