"""Builds a dataset with many processes: WAV files that depend only on (seed, split, number), and their manifest."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.manifest import (
    MANIFEST_FILE,
    SPLITS,
    Clip,
    read_manifest,
    write_manifest,
)

SETTINGS_FILE = "settings.json"
PROGRESS_FILE = "progress.jsonl"

_WAV_HEADER_BYTES = 44
_CLIPS_AT_ONCE = 8
_REPORT_SECONDS = 10.0

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class MadeClip:
    """A clip before it is written: int16 [samples], with its captions and labels."""

    waveform: NDArray[np.int16]
    captions: tuple[str, ...]
    labels: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The description of a dataset to build.

    Attributes:
        name: kind of dataset, for messages.
        make: returns the clip of a split and number; must be a module's function or a partial of one, because it is
            sent to other processes.
        sample_rate: Hz.
        seconds: length of each clip.
        settings: everything that a clip depends on besides split and number. A folder with other settings is refused.
    """

    name: str
    make: Callable[[str, int], MadeClip]
    sample_rate: int
    seconds: float
    settings: Mapping[str, object]


def build(
    dataset: Dataset, folder: Path, clips: Mapping[str, int], *, workers: int, report: Callable[[str], None]
) -> None:
    """Writes the dataset; keeps the clips of an earlier run that was interrupted or smaller.

    Args:
        dataset: the dataset to build.
        folder: for the dataset.
        clips: number of clips in each split ("train", "validation", "test").
        workers: number of worker processes.
        report: receives a line of progress every ten seconds.

    Raises:
        InvalidRequest: an argument is out of bounds, or the folder holds a dataset with other settings.
    """
    _check(clips, workers)
    folder.mkdir(parents=True, exist_ok=True)
    _check_settings(folder, dataset)
    for split in clips:
        (folder / split).mkdir(exist_ok=True)
    keys = [(split, index) for split in SPLITS for index in range(clips.get(split, 0))]
    done = _finished(folder, dataset)
    kept = sum(key in done for key in keys)
    missing = [key for key in keys if key not in done]
    started = reported = time.monotonic()
    with (folder / PROGRESS_FILE).open("a", encoding="utf-8") as progress:
        for count, (key, clip) in enumerate(_written(dataset, folder, missing, workers), start=1):
            done[key] = clip
            progress.write(json.dumps(asdict(clip)) + "\n")
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                progress.flush()
                speed = count * dataset.seconds / (reported - started)
                report(f"{dataset.name}: {kept + count:,} of {len(keys):,} clips, {speed:,.0f} × real time")
    write_manifest(folder, [done[key] for key in keys])
    (folder / PROGRESS_FILE).unlink()
    report(f"{dataset.name}: {len(keys):,} clips of {dataset.seconds:g} s in {folder} ({kept:,} existed already)")


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check(clips: Mapping[str, int], workers: int) -> None:
    unknown = sorted(set(clips) - set(SPLITS))
    if unknown:
        raise InvalidRequest("clips", unknown, f"splits are {', '.join(SPLITS)}")
    if not clips or min(clips.values()) < 0 or sum(clips.values()) == 0:
        raise InvalidRequest("clips", dict(clips), "must ask for at least one clip, and no number may be negative")
    if workers < 1:
        raise InvalidRequest("workers", workers, "must be at least 1")


def _check_settings(folder: Path, dataset: Dataset) -> None:
    path = folder / SETTINGS_FILE
    if not path.exists():
        path.write_text(json.dumps(dict(dataset.settings)), encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != dataset.settings:
        raise InvalidRequest(
            "folder", str(folder), f"holds {dataset.name} with other settings (see {SETTINGS_FILE}): choose another"
        )


def _finished(folder: Path, dataset: Dataset) -> dict[Key, Clip]:
    """Returns the clips of earlier runs whose files are complete."""
    rows: list[Clip] = read_manifest(folder) if (folder / MANIFEST_FILE).exists() else []
    if (folder / PROGRESS_FILE).exists():
        for line in (folder / PROGRESS_FILE).read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):  # the last line, if the run was killed while writing it
                row = json.loads(line)
                rows.append(Clip(**{**row, "captions": tuple(row["captions"])}))
    size = _WAV_HEADER_BYTES + 2 * round(dataset.seconds * dataset.sample_rate)
    return {
        (row.split, row.seed): row
        for row in rows
        if (folder / row.file).is_file() and (folder / row.file).stat().st_size == size
    }


def _written(dataset: Dataset, folder: Path, keys: Sequence[Key], workers: int) -> Iterator[tuple[Key, Clip]]:
    """Yields all clips in order, written by `workers` processes."""
    if workers == 1 or len(keys) <= _CLIPS_AT_ONCE:
        for key in keys:
            yield key, _write(dataset, folder, key)
        return
    # Not forked, because a forked child inherits locks from threads that it does not have.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        count = len(keys)
        made = pool.map(_write, [dataset] * count, [folder] * count, keys, chunksize=_CLIPS_AT_ONCE)
        yield from zip(keys, made, strict=True)


def _write(dataset: Dataset, folder: Path, key: Key) -> Clip:
    split, index = key
    made = dataset.make(split, index)
    file = f"{split}/{index:06d}.wav"
    unfinished = (folder / file).with_suffix(".partial")
    soundfile.write(unfinished, made.waveform, dataset.sample_rate, format="WAV", subtype="PCM_16")
    digest = file_sha256(unfinished)
    os.replace(unfinished, folder / file)
    return Clip(file, split, index, dataset.seconds, dataset.sample_rate, made.captions, made.labels, digest)
