"""`judge` turns logits into scores and a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.realness import Calibration, judge

PLAIN = {name: Calibration() for name in DISCRIMINATORS}


def logits(mpd: float, msd: float, msstftd: float, windows: int = 2, parts: int = 3) -> dict[str, np.ndarray]:
    return {
        name: np.full((windows, parts), value, np.float32)
        for name, value in zip(DISCRIMINATORS, (mpd, msd, msstftd), strict=True)
    }


def test_realness_is_the_mean_of_the_three_scores() -> None:
    verdict = judge(logits(0.0, 20.0, -20.0), PLAIN)
    assert verdict.scores == pytest.approx({"mpd": 0.5, "msd": 1.0, "msstftd": 0.0}, abs=1e-6)
    assert verdict.realness == pytest.approx(0.5)


def test_a_score_is_the_mean_over_windows_of_each_windows_probability() -> None:
    given = logits(0.0, 0.0, 0.0)
    given["mpd"] = np.array([[0.0, 2.0], [-4.0, -2.0]], np.float32)
    verdict = judge(given, PLAIN)
    windows = [1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(3.0))]
    np.testing.assert_allclose(verdict.window_scores, [[windows[0], 0.5, 0.5], [windows[1], 0.5, 0.5]], rtol=1e-6)
    assert verdict.scores["mpd"] == pytest.approx(sum(windows) / 2)


@pytest.mark.parametrize(("threshold", "real"), [(0.0, True), (0.4999, True), (0.5001, False), (1.0, False)])
def test_a_clip_is_real_at_or_above_the_threshold(threshold: float, real: bool) -> None:
    assert judge(logits(0.0, 0.0, 0.0), PLAIN, threshold).is_real is real


@pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan, math.inf])
def test_a_threshold_out_of_bounds_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidRequest, match=f"threshold={threshold}: must be between 0 and 1"):
        judge(logits(0.0, 0.0, 0.0), PLAIN, threshold)


def test_each_discriminator_has_its_own_calibration() -> None:
    calibrations = {**PLAIN, "msd": Calibration(scale=2.0, bias=-1.0)}
    verdict = judge(logits(1.0, 1.0, 1.0), calibrations)
    assert verdict.scores["msd"] == pytest.approx(1 / (1 + math.exp(-1.0)))  # 2 · 1 - 1
    assert verdict.scores["mpd"] == pytest.approx(1 / (1 + math.exp(-1.0)))
    assert judge(logits(3.0, 3.0, 3.0), calibrations).scores["msd"] == pytest.approx(1 / (1 + math.exp(-5.0)))


@pytest.mark.filterwarnings("error")
def test_extreme_logits_saturate_without_overflow() -> None:
    verdict = judge(logits(1e30, -1e30, 0.0), PLAIN)
    assert verdict.scores["mpd"] == 1.0
    assert verdict.scores["msd"] == pytest.approx(0.0, abs=1e-30)
