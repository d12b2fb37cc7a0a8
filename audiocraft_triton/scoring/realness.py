"""Turns the discriminators' logits into calibrated scores and a verdict on how real a clip sounds. Uses numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.contract.parameters import THRESHOLD


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's logistic map from a mean logit to a probability, fitted on clips of known origin.

    With the default `Calibration()`, a score is the plain sigmoid of an untrained network's logit and means nothing.
    """

    scale: float = 1.0
    bias: float = 0.0

    def probability(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Computes 1 / (1 + e^-(scale · logit + bias)), elementwise."""
        # Beyond ±80 a float32 sigmoid is 0 or 1, and exp would overflow.
        exponent = np.clip(self.scale * logits + self.bias, -80.0, 80.0)
        return np.asarray(1.0 / (1.0 + np.exp(-exponent)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Scores of one clip, each from 0 to 1; a higher score sounds more real.

    Attributes:
        scores: one per discriminator, the mean over the windows.
        realness: mean of the three scores.
        is_real: whether realness reaches the threshold.
        window_scores: float32 [windows, 3], in the order of DISCRIMINATORS.
    """

    scores: Mapping[str, float]
    realness: float
    is_real: bool
    window_scores: NDArray[np.float32]


def judge(
    logits: Mapping[str, NDArray[np.float32]],
    calibrations: Mapping[str, Calibration],
    threshold: float = THRESHOLD.default,
) -> Verdict:
    """Scores a clip.

    Args:
        logits: by discriminator, float32 [windows, parts]: each part's mean logit.
        calibrations: by discriminator.
        threshold: lowest realness that counts as real, 0 to 1.

    Raises:
        InvalidRequest: the threshold is out of bounds.
    """
    THRESHOLD.check(threshold)
    columns = [calibrations[name].probability(logits[name].mean(axis=1)) for name in DISCRIMINATORS]
    window_scores = np.stack(columns, axis=1)
    means = window_scores.mean(axis=0)
    realness = float(means.mean())
    return Verdict(
        scores=dict(zip(DISCRIMINATORS, map(float, means), strict=True)),
        realness=realness,
        is_real=realness >= threshold,
        window_scores=window_scores,
    )
