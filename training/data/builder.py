"""Builds a dataset: WAV files that depend on (seed, split, number) alone, and their manifest, by many processes."""

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
    """A clip before it is written: int16 [samples], and what is said about it."""

    waveform: NDArray[np.int16]
    captions: tuple[str, ...]
    labels: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a folder is to hold.

    Attributes:
        name: what it is, for messages.
        make: from split and number to the clip; sent to other processes, so a function of a module or a partial of one.
        sample_rate: Hz.
        seconds: of each clip.
        settings: what every clip depends on beside split and number. A folder of other settings is refused.
    """

    name: str
    make: Callable[[str, int], MadeClip]
    sample_rate: int
    seconds: float
    settings: Mapping[str, object]


def build(
    dataset: Dataset, folder: Path, clips: Mapping[str, int], *, workers: int, report: Callable[[str], None]
) -> None:
    """Writes the dataset; what an earlier run wrote, interrupted or smaller, is kept.

    Args:
        dataset: what to make.
        folder: where it goes.
        clips: how many of each split ("train", "validation", "test").
        workers: how many processes compute.
        report: told of progress every ten seconds.

    Raises:
        InvalidRequest: an argument is out of its bounds, or the folder holds a dataset of other settings.
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
    report(f"{dataset.name}: {len(keys):,} clips of {dataset.seconds:g} s in {folder} ({kept:,} of them were there)")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check(clips: Mapping[str, int], workers: int) -> None:
    unknown = sorted(set(clips) - set(SPLITS))
    if unknown:
        raise InvalidRequest("clips", unknown, f"splits are {', '.join(SPLITS)}")
    if not clips or min(clips.values()) < 0 or sum(clips.values()) == 0:
        raise InvalidRequest("clips", dict(clips), "must name at least one clip, and no negative number")
    if workers < 1:
        raise InvalidRequest("workers", workers, "must be at least 1")


def _check_settings(folder: Path, dataset: Dataset) -> None:
    path = folder / SETTINGS_FILE
    if not path.exists():
        path.write_text(json.dumps(dict(dataset.settings)), encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != dataset.settings:
        raise InvalidRequest(
            "folder", str(folder), f"holds {dataset.name} of other settings (see {SETTINGS_FILE}): choose another"
        )


def _finished(folder: Path, dataset: Dataset) -> dict[Key, Clip]:
    """The clips of earlier runs whose files are whole."""
    rows: list[Clip] = read_manifest(folder) if (folder / MANIFEST_FILE).exists() else []
    if (folder / PROGRESS_FILE).exists():
        for line in (folder / PROGRESS_FILE).read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):  # the last line, if the run was killed while it wrote
                row = json.loads(line)
                rows.append(Clip(**{**row, "captions": tuple(row["captions"])}))
    size = _WAV_HEADER_BYTES + 2 * round(dataset.seconds * dataset.sample_rate)
    return {
        (row.split, row.seed): row
        for row in rows
        if (folder / row.file).is_file() and (folder / row.file).stat().st_size == size
    }


def _written(dataset: Dataset, folder: Path, keys: Sequence[Key], workers: int) -> Iterator[tuple[Key, Clip]]:
    """All of them, in order, by as many processes as asked for."""
    if workers == 1 or len(keys) <= _CLIPS_AT_ONCE:
        for key in keys:
            yield key, _write(dataset, folder, key)
        return
    # Not forked: a forked child inherits the locks of threads that it lacks.
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
