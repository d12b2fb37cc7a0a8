"""Calibration makes realness a probability, and the figures that measure it are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.realness import Calibration, judge
from training.calibration import (
    ClipLogits,
    expected_calibration_error,
    fit_calibration,
    roc_auc,
)
from training.held_out import calibration_clips, qualities

WINDOWS, PARTS = 5, 3
PLAIN = {name: Calibration() for name in DISCRIMINATORS}


def made_up_clips(seed: int, count: int) -> tuple[list[ClipLogits], list[int]]:
    """Makes clips with logits that follow the same realness, but shifted and 3 to 8 times too large."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(2, size=count)
    clips = []
    for label in labels:
        evidence = (2 * label - 1) * 0.6 + draw.normal(size=(WINDOWS, 1)) * 0.5 + draw.normal()
        logits = {}
        for index, name in enumerate(DISCRIMINATORS):
            seen = evidence + 0.3 * draw.normal(size=(WINDOWS, PARTS))
            logits[name] = ((3 + 2.5 * index) * seen + 2.0 * index).astype(np.float32)
        clips.append(logits)
    return clips, labels.tolist()


def realness(clips: list[ClipLogits], calibrations: dict[str, Calibration]) -> list[float]:
    return [judge(clip, calibrations).realness for clip in clips]


def test_calibration_corrects_overconfident_scores_on_clips_it_never_saw() -> None:
    clips, labels = made_up_clips(seed=1, count=800)
    others, truth = made_up_clips(seed=2, count=3000)
    calibrations = fit_calibration(clips, labels)
    before = expected_calibration_error(realness(others, PLAIN), truth)
    after = expected_calibration_error(realness(others, calibrations), truth)
    assert before > 0.1
    assert after < 0.05
    assert roc_auc(realness(others, calibrations), truth) >= roc_auc(realness(others, PLAIN), truth) - 0.01


def test_calibrating_the_mean_beats_calibrating_each_discriminator() -> None:
    draw = np.random.default_rng(3)
    labels = draw.integers(2, size=4000)
    # The mean of three independent scores that are each calibrated is not calibrated but under-confident.
    clips = [
        {
            name: np.full((1, 1), 2.0 * draw.normal() + 2.0 * (2 * label - 1), dtype=np.float32)
            for name in DISCRIMINATORS
        }
        for label in labels
    ]
    each = expected_calibration_error(realness(clips, PLAIN), labels)
    together = expected_calibration_error(realness(clips, fit_calibration(clips[:2000], labels[:2000])), labels)
    assert each > 0.08
    assert together < 0.6 * each


def test_clips_that_separate_without_error_still_get_finite_numbers() -> None:
    clips = [{name: np.full((2, 2), logit, dtype=np.float32) for name in DISCRIMINATORS} for logit in (9.0, 8.0, -8.0)]
    calibrations = fit_calibration(clips, [1, 1, 0])
    assert all(0 < one.scale < 10 and abs(one.bias) < 10 for one in calibrations.values())
    scores = realness(clips, calibrations)
    assert scores[0] > scores[1] > 0.6 > 0.4 > scores[2] > 0.0


def test_a_higher_logit_always_means_more_real() -> None:
    clips, labels = made_up_clips(seed=4, count=100)
    misled = [{**clip, "mpd": -clip["mpd"]} for clip in clips]
    assert all(one.scale > 0 for one in fit_calibration(misled, labels).values())


def test_calibration_error_of_a_hand_made_case() -> None:
    # Bin 0.2-0.3: mean 0.25, half real. Bin 0.9-1: mean 0.95, all real. 2/4 · 0.25 + 2/4 · 0.05.
    assert expected_calibration_error([0.25, 0.25, 0.9, 1.0], [0, 1, 1, 1]) == pytest.approx(0.15)


def test_area_under_the_curve_of_hand_made_cases() -> None:
    assert roc_auc([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]) == 1.0
    assert roc_auc([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]) == 0.0
    assert roc_auc([0.5, 0.5, 0.5], [1, 0, 0]) == 0.5
    assert roc_auc([3.0, 1.0, 2.0, 2.0], [1, 1, 0, 1]) == pytest.approx(0.5)


def test_figures_agree_with_torchmetrics() -> None:
    draw = np.random.default_rng(5)
    labels = draw.integers(2, size=500)
    scores = np.round(np.clip(0.5 + 0.2 * (labels - 0.5) + 0.2 * draw.normal(size=500), 0.001, 0.999), 3)
    given, truth = torch.from_numpy(scores), torch.from_numpy(labels)
    assert roc_auc(scores, labels) == pytest.approx(float(binary_auroc(given, truth)))
    error = float(binary_calibration_error(given - 1e-9, truth, n_bins=10))
    assert expected_calibration_error(scores - 1e-9, labels) == pytest.approx(error, abs=1e-5)


def test_a_weight_counts_as_a_number_of_equal_clips() -> None:
    clips, labels = made_up_clips(seed=6, count=40)
    weights = [1 + index % 3 for index in range(40)]
    repeated = [index for index, weight in enumerate(weights) for _ in range(weight)]
    weighted = fit_calibration(clips, labels, weights)
    by_hand = fit_calibration([clips[index] for index in repeated], [labels[index] for index in repeated])
    np.testing.assert_allclose(realness(clips, weighted), realness(clips, by_hand), atol=0.01)
    scores = np.round(realness(clips, weighted), 1)
    for figure in (roc_auc, expected_calibration_error):
        expected = figure(scores[repeated], np.array(labels)[repeated])
        assert figure(scores, labels, weights) == pytest.approx(expected)


def test_calibration_uses_every_source_clip_even_with_few_generated_ones() -> None:
    clips, _ = made_up_clips(seed=7, count=103)
    judged = {"source": clips[:50], "codec output": clips[50:100], "generated": clips[100:], "white noise": clips[:1]}
    chosen, labels, weights = calibration_clips(judged)
    assert chosen == clips
    assert labels == [1] * 50 + [0] * 53
    np.testing.assert_allclose([sum(part) for part in (weights[:50], weights[50:100], weights[100:])], [50, 25, 25])


def test_figures_count_every_source_clip_even_with_few_generated_ones() -> None:
    clips, truth = made_up_clips(seed=8, count=200)
    source = [clip for clip, label in zip(clips, truth, strict=True) if label]
    fakes = [clip for clip, label in zip(clips, truth, strict=True) if not label]
    few = qualities({"source": source, "codec output": fakes[:-2], "generated": fakes[-2:]}, PLAIN)
    copied = [*fakes[-2:]] * 30
    many = qualities({"source": source, "codec output": fakes[:-2], "generated": copied}, PLAIN)
    for name in ("overall", "codec output", "generated"):
        for figure in ("auc", "ece", "accuracy", "realness"):
            assert getattr(few[name], figure) == pytest.approx(getattr(many[name], figure)), (name, figure)
    assert few["overall"].clips == len(fakes)


@pytest.mark.parametrize("labels", [[1, 1], [1], [0, 2]])
def test_unusable_labels_are_refused(labels: list[int]) -> None:
    with pytest.raises(InvalidRequest, match="labels"):
        roc_auc([0.1, 0.2], labels)


def test_a_probability_out_of_bounds_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="probabilities"):
        expected_calibration_error([0.5, 1.5], [0, 1])
