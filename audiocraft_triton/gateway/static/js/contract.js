/** The server's parameters and limits. `make contract` writes this: edit audiocraft_triton/contract instead. */

export const PARAMETERS = [
  {
    "name": "text",
    "help": "What to generate, in words; an empty text leaves it to the model.",
    "min": 0,
    "max": 2000
  },
  {
    "name": "duration",
    "help": "Length of the clip, including a continuation.",
    "value": 10.0,
    "min": 0.1,
    "max": 300,
    "unit": "seconds",
    "control": {
      "label": "Length",
      "low": 1,
      "high": 30,
      "step": 0.5,
      "detailed": false
    }
  },
  {
    "name": "temperature",
    "help": "Variety: 0 always takes the likeliest token, higher values surprise more.",
    "value": 1.0,
    "min": 0,
    "max": 10,
    "control": {
      "label": "Variety",
      "low": 0,
      "high": 2,
      "step": 0.05,
      "detailed": true
    }
  },
  {
    "name": "cfg_coef",
    "help": "How closely to follow the text (classifier-free guidance); 1 means no guidance.",
    "value": 3.0,
    "min": 0,
    "max": 20,
    "control": {
      "label": "Closeness to the text",
      "low": 1,
      "high": 10,
      "step": 0.1,
      "detailed": true
    }
  },
  {
    "name": "top_k",
    "help": "Sample among the k likeliest tokens; 0 means all.",
    "value": 250,
    "min": 0,
    "max": 2147483647,
    "whole": true,
    "control": {
      "label": "Top k",
      "low": 0,
      "high": 500,
      "step": 5,
      "detailed": true
    }
  },
  {
    "name": "top_p",
    "help": "Sample among the likeliest tokens of this total probability; above 0 it replaces top_k.",
    "value": 0.0,
    "min": 0,
    "max": 1,
    "control": {
      "label": "Top p",
      "low": 0,
      "high": 1,
      "step": 0.01,
      "detailed": true
    }
  },
  {
    "name": "seed",
    "help": "The same request with the same seed gives the same clip; every answer names its seed.",
    "min": 0,
    "max": "9223372036854775807",
    "whole": true
  },
  {
    "name": "continuation",
    "help": "Audio file that the clip begins with."
  },
  {
    "name": "melody",
    "help": "Audio file whose melody to follow; only melody checkpoints take one."
  },
  {
    "name": "decoder",
    "help": "What turns tokens into sound: multiband_diffusion sounds better and takes longer.",
    "value": "encodec",
    "choices": [
      "encodec",
      "multiband_diffusion"
    ]
  }
];

export const THRESHOLD = {
  "name": "threshold",
  "help": "Realness from which a clip counts as real.",
  "value": 0.5,
  "min": 0,
  "max": 1
};

export const LIMITS = {
  "fileBytes": 67108864,
  "seconds": 300
};
