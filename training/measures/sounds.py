"""Measures whether the sound model's clips are of the kind that their prompts ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.measures.results import Measure
from training.measures.signal import (
    Mono,
    clipped_share,
    percussive_ratio,
    silent_share,
    timbre,
)
from training.measures.statistics import LogisticRegression, accuracy, confusion

SECTION = "sound model"
KIND_ACCURACY = 0.6

PROMPTS = {
    "rain": "heavy rain",
    "wind": "wind blowing",
    "fire": "a crackling fire",
    "birds": "birds singing",
    "siren": "a siren",
    "engine": "an engine running",
    "footsteps": "footsteps",
    "drum_loop": "a drum loop",
}
"""Prompts by the main sound's label in the data."""

Clips = Mapping[str, Sequence[Mono]]


def sound_measures(
    generated: Clips, train: Clips, held_out: Clips, sample_rate: int
) -> tuple[list[Measure], dict[str, Any]]:
    """Fits a classifier of kinds to source sounds and applies it to generated ones.

    Args:
        generated, train, held_out: clips by kind, float32 [samples]: the model's, those of the split that it was
            trained on, and those of the test split.
        sample_rate: of all clips, Hz.

    Returns:
        The measures, and the confusion matrices.
    """
    features, labels = _features(train, sample_rate)
    classifier = LogisticRegression(features, labels)
    results = {}
    for name, clips in (("generated", generated), ("source", held_out)):
        features, labels = _features(clips, sample_rate)
        results[name] = (labels, classifier.predict(features))
    every, of_source = ([clip for row in clips.values() for clip in row] for clips in (generated, held_out))
    measures = [
        Measure(
            SECTION, "kind: accuracy on generated", accuracy(*results["generated"]), KIND_ACCURACY,
            note=f"{len(generated)} kinds; a classifier that saw only source audio; chance {1 / len(generated):.2f}",
        ),
        Measure(SECTION, "kind: accuracy on held-out source", accuracy(*results["source"])),
        Measure(SECTION, "silent frames", _silent(every, sample_rate)),
        Measure(SECTION, "silent frames: the same on source", _silent(of_source, sample_rate)),
        Measure(
            SECTION, "clipped samples", float(np.mean([clipped_share(clip) for clip in every])), 0.001, "at most",
            note="magnitude 0.999 or more",
        ),
    ]  # fmt: skip
    return measures, {f"kinds_{name}": confusion(*result) for name, result in results.items()}


def _silent(clips: Sequence[Mono], sample_rate: int) -> float:
    return float(np.mean([silent_share(clip, sample_rate) for clip in clips]))


def _features(clips: Clips, sample_rate: int) -> tuple[Any, list[str]]:
    pairs = [(kind, clip) for kind, row in clips.items() for clip in row]
    rows = [timbre(clip, sample_rate, percussive_ratio(clip, sample_rate)) for _, clip in pairs]
    return np.stack(rows), [kind for kind, _ in pairs]
