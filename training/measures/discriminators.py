"""Measures how well the discriminators tell source from coded, generated and foreign clips, and their calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiocraft_triton.audio.waveforms import convert, cut_windows
from audiocraft_triton.checkpoints.layout import Checkpoint
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import load_discriminators
from audiocraft_triton.scoring.realness import Calibration, judge
from training.calibration import expected_calibration_error, roc_auc
from training.fakes import to_16_bits
from training.measures.results import Measure
from training.measures.signal import Mono

SECTION = "discriminators"
SEPARATION = 0.9
CALIBRATION_ERROR = 0.05
RELIABILITY_BINS = 10
SOURCE, CODED, GENERATED, NOISE = "source", "codec output", "generated", "white noise"
NOISE_CLIPS = 8
NOISE_RMS = 0.1
NOISE_SEED = 5


class Judge:
    """Scores clips as `analyze` does: windows, three discriminators, calibration, mean."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Loads the discriminators.

        Raises:
            CheckpointError: the checkpoint has no discriminators.
        """
        self._modules, config = load_discriminators(checkpoint)
        self.sample_rate, self.window = int(config.sample_rate), int(config.window)
        self.calibrated = config.calibration is not None
        self._calibrations = {
            name: Calibration(**config.calibration[name]) if self.calibrated else Calibration()
            for name in DISCRIMINATORS
        }

    @torch.inference_mode()
    def realness(self, clip: Mono, sample_rate: int) -> float:
        """Returns the realness, 0 … 1, of float32 [samples] at any rate, rounded as in a 16-bit file."""
        # Source audio was rounded to 16 bits; without this, the rounding alone could tell it from model output.
        filed: Mono = to_16_bits(torch.from_numpy(clip)[None]).numpy()
        windows = torch.from_numpy(cut_windows(convert(filed, sample_rate, self.sample_rate, 1), self.window))
        logits: dict[str, NDArray[np.float32]] = {}
        for name in DISCRIMINATORS:
            parts, _ = self._modules[name](windows)
            logits[name] = torch.stack([part.flatten(1).mean(dim=1) for part in parts], dim=1).numpy()
        return judge(logits, self._calibrations).realness


def noise_clips(samples: int) -> list[Mono]:
    """Makes clips of white noise at -20 dBFS."""
    draw = np.random.Generator(np.random.PCG64(NOISE_SEED))
    return [np.asarray(NOISE_RMS * draw.standard_normal(samples), dtype=np.float32) for _ in range(NOISE_CLIPS)]


def discriminator_measures(
    scores: Mapping[str, Sequence[float]], calibrated: bool
) -> tuple[list[Measure], dict[str, Any]]:
    """Computes the discriminators' figures from their scores.

    Args:
        scores: realness of each clip by its origin: SOURCE, CODED, GENERATED, and any others, which are foreign.
        calibrated: whether the scores were calibrated into probabilities.

    Returns:
        The measures, and the reliability table with the mean scores.
    """
    real, coded, generated = scores[SOURCE], scores[CODED], scores[GENERATED]
    # Half source, half model output, so that the share of real clips does not depend on the number of generated ones.
    made = [*coded[: len(real) // 2], *generated[: len(real) - len(real) // 2]]
    judged, truth = np.array([*real, *made]), np.array([1] * len(real) + [0] * len(made))
    measures = [
        Measure(SECTION, "AUC, source against codec output", _auc(real, coded), SEPARATION),
        Measure(SECTION, "AUC, source against generated", _auc(real, generated), SEPARATION),
        Measure(
            SECTION, "expected calibration error", expected_calibration_error(judged, truth), CALIBRATION_ERROR,
            "at most",
            note=f"half source, half made; calibrated: {calibrated}; a constant 0.5 reaches it too: see the AUCs",
        ),
        *(Measure(SECTION, f"mean realness of {name}", float(np.mean(values))) for name, values in scores.items()),
        *(
            Measure(SECTION, f"AUC, {name} against generated", _auc(values, generated), note="from elsewhere")
            for name, values in scores.items()
            if name not in (SOURCE, CODED, GENERATED)
        ),
    ]  # fmt: skip
    details = {
        "realness": {name: [round(float(value), 4) for value in values] for name, values in scores.items()},
        "reliability": reliability(judged, truth),
    }
    return measures, details


def reliability(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> list[dict[str, float]]:
    """Returns the mean score, share of real clips and count of each non-empty bin of scores.

    This is the reliability diagram of A. Niculescu-Mizil and R. Caruana, ICML 2005.
    """
    bins = np.clip((scores * RELIABILITY_BINS).astype(int), 0, RELIABILITY_BINS - 1)
    return [
        {
            "score": float(scores[bins == index].mean()),
            "real": float(truth[bins == index].mean()),
            "clips": int((bins == index).sum()),
        }
        for index in sorted(set(bins.tolist()))
    ]


def _auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    values = np.array([*higher, *lower])
    return float(roc_auc(values, np.array([1] * len(higher) + [0] * len(lower))))
