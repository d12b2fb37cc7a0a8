"""Builds the sound-effect dataset: a folder of 16 kHz WAV files and its manifest."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import soundfile

from engine.errors import InvalidInput
from training.data.manifest import MANIFEST_FILE, SPLITS, Clip, read_manifest, write_manifest
from training.data.samples import Recordings, read_samples
from training.data.sound_effects import MAX_SECONDS, MIN_SECONDS, compose_sound
from training.data.synthesis import SAMPLE_RATE

SETTINGS_FILE = "settings.json"
PROGRESS_FILE = "progress.jsonl"

_WAV_HEADER_BYTES = 44
_CLIPS_AT_ONCE = 16
_REPORT_SECONDS = 10.0

Key = tuple[str, int]


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
    """Writes the dataset; what an earlier, interrupted run wrote is kept.

    Args:
        folder: where it goes.
        clips: how many of each split ("train", "validation", "test").
        samples: the folder of CC0 recordings that `prepare_samples` wrote; None for procedural sounds only.
        workers: how many processes compute.
        seed: with it, each clip depends on its split and number only: more clips leave the first ones as they are.
        seconds: each clip's length, 1 to 60.
        report: told of progress every ten seconds.

    Raises:
        InvalidInput: an argument is out of its bounds, or the folder holds a dataset of other settings.
    """
    unknown = set(clips) - set(SPLITS)
    if unknown:
        raise InvalidInput("clips", sorted(unknown), f"splits are {', '.join(SPLITS)}")
    if not clips or min(clips.values()) < 0 or sum(clips.values()) == 0:
        raise InvalidInput("clips", dict(clips), "must name at least one clip, and no negative number")
    if seed < 0:
        raise InvalidInput("seed", seed, "must not be negative")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InvalidInput("seconds", seconds, f"must be between {MIN_SECONDS} and {MAX_SECONDS}")
    if workers < 1:
        raise InvalidInput("workers", workers, "must be at least 1")
    if samples is not None:
        read_samples(samples)  # fails here, before any process starts
    folder.mkdir(parents=True, exist_ok=True)
    _check_settings(folder, {"seed": seed, "seconds": seconds, "samples": samples is not None})
    keys = [(split, index) for split in SPLITS for index in range(clips.get(split, 0))]
    for split in clips:
        (folder / split).mkdir(exist_ok=True)
    done = _finished(folder, seconds)
    kept = sum(key in done for key in keys)
    missing = [key for key in keys if key not in done]
    started = reported = time.monotonic()
    with (folder / PROGRESS_FILE).open("a", encoding="utf-8") as progress:
        for count, (key, clip) in enumerate(_made(missing, folder, samples, workers, seed, seconds), start=1):
            done[key] = clip
            progress.write(json.dumps(asdict(clip)) + "\n")
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                progress.flush()
                report(f"sounds: {kept + count} of {len(keys)} clips, {count / (reported - started):.0f} a second")
    write_manifest(folder, [done[key] for key in keys])
    (folder / PROGRESS_FILE).unlink()
    report(f"sounds: {len(keys)} clips of {seconds:g} s in {folder} ({kept} of them were there)")


def _check_settings(folder: Path, settings: Mapping[str, object]) -> None:
    path = folder / SETTINGS_FILE
    if not path.exists():
        path.write_text(json.dumps(settings), encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != settings:
        raise InvalidInput(
            "folder", str(folder), f"holds sounds of other settings (see {SETTINGS_FILE}): choose another"
        )


def _finished(folder: Path, seconds: float) -> dict[Key, Clip]:
    """The clips of earlier runs whose files are whole."""
    rows: list[Clip] = read_manifest(folder) if (folder / MANIFEST_FILE).exists() else []
    if (folder / PROGRESS_FILE).exists():
        for line in (folder / PROGRESS_FILE).read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):  # the last line, if the run was killed while it wrote
                row = json.loads(line)
                rows.append(Clip(**{**row, "captions": tuple(row["captions"])}))
    size = _WAV_HEADER_BYTES + 2 * round(seconds * SAMPLE_RATE)
    return {
        (row.split, int(Path(row.file).stem)): row
        for row in rows
        if (folder / row.file).is_file() and (folder / row.file).stat().st_size == size
    }


def _made(
    keys: Sequence[Key], folder: Path, samples: Path | None, workers: int, seed: int, seconds: float
) -> Iterator[tuple[Key, Clip]]:
    """All of them, in order, by as many processes as asked for."""
    chunks = [keys[start : start + _CLIPS_AT_ONCE] for start in range(0, len(keys), _CLIPS_AT_ONCE)]
    jobs: Iterable[list[Clip]]
    arguments = [(chunk, folder, samples, seed, seconds) for chunk in chunks]
    if workers == 1 or len(chunks) < 2:
        jobs = map(_write_chunk, arguments)
        for chunk, written in zip(chunks, jobs, strict=True):
            yield from zip(chunk, written, strict=True)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for chunk, written in zip(chunks, pool.map(_write_chunk, arguments), strict=True):
            yield from zip(chunk, written, strict=True)


_recordings: dict[Path, Recordings] = {}


def _write_chunk(job: tuple[Sequence[Key], Path, Path | None, int, float]) -> list[Clip]:
    keys, folder, samples, seed, seconds = job
    if samples is not None and samples not in _recordings:
        _recordings[samples] = read_samples(samples)
    recordings = None if samples is None else _recordings[samples]
    return [_write(key, folder, recordings, seed, seconds) for key in keys]


def _write(key: Key, folder: Path, recordings: Recordings | None, seed: int, seconds: float) -> Clip:
    split, index = key
    sound = compose_sound(seed, split, index, seconds=seconds, recordings=recordings)
    file = f"{split}/{index:06d}.wav"
    unfinished = (folder / file).with_suffix(".part")
    soundfile.write(unfinished, sound.waveform, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()
    os.replace(unfinished, folder / file)
    return Clip(file, split, sound.seed, seconds, SAMPLE_RATE, sound.captions, sound.labels, digest)
