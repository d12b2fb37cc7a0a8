"""The sound-effect dataset: clips at 16 kHz from formulas and CC0 recordings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.builder import Dataset, MadeClip, build
from training.data.samples import Recordings, read_samples
from training.data.sound_effects import MAX_SECONDS, MIN_SECONDS, compose_sound
from training.data.synthesis import SAMPLE_RATE


def build_sounds(
    folder: Path,
    clips: Mapping[str, int],
    *,
    samples: Path | None,
    workers: int,
    seed: int,
    seconds: float = 10.0,
    report: Callable[[str], None] = print,
) -> None:
    """Writes the dataset, as `training.data.builder.build` does.

    Args:
        folder: for the dataset.
        clips: number of clips in each split ("train", "validation", "test").
        samples: the folder of CC0 recordings that `prepare_samples` wrote; None for procedural sounds only.
        workers: number of worker processes.
        seed: each clip depends only on it, the split and the number, so more clips don't change the first ones.
        seconds: length of each clip, 1 to 60.
        report: receives lines of progress.

    Raises:
        InvalidRequest: an argument is out of bounds, or the folder holds a dataset with other settings.
    """
    if seed < 0:
        raise InvalidRequest("seed", seed, "must not be negative")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InvalidRequest("seconds", seconds, f"must be between {MIN_SECONDS} and {MAX_SECONDS}")
    if samples is not None:
        _recordings(samples)  # fails here, before any process starts
    settings = {"seed": seed, "seconds": seconds, "samples": samples is not None}
    make = functools.partial(_make, samples, seed, seconds)
    build(Dataset("sounds", make, SAMPLE_RATE, seconds, settings), folder, clips, workers=workers, report=report)


@functools.cache
def _recordings(samples: Path) -> Recordings:
    """Reads the recordings once per process."""
    return read_samples(samples)


def _make(samples: Path | None, seed: int, seconds: float, split: str, index: int) -> MadeClip:
    recordings = None if samples is None else _recordings(samples)
    sound = compose_sound(seed, split, index, seconds=seconds, recordings=recordings)
    return MadeClip(sound.waveform, sound.captions, sound.labels)
