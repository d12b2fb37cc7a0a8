"""Builds the music dataset: pieces composed from integer seeds, rendered to 32 kHz WAV files, and their manifest."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.errors import InvalidInput
from training.data.composer import compose
from training.data.form import PIECE_SECONDS
from training.data.manifest import SPLITS, Clip, write_manifest
from training.data.midi import to_midi
from training.data.notes import Piece
from training.data.synthesizer import SAMPLE_RATE, Synthesizer, soundfont_path

SETTINGS_FILE = "settings.json"

_WAV_HEADER_BYTES = 44
_CLIPS_AT_ONCE = 8
_REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Job:
    """One clip to make."""

    folder: Path
    soundfont: Path
    seed: int
    split: str
    index: int
    seconds: float

    @property
    def file(self) -> str:
        return f"{self.split}/{self.index:06d}.wav"


def build_music(
    folder: Path,
    clips: Mapping[str, int],
    *,
    soundfont: Path | None,
    workers: int,
    seed: int,
    seconds: float = PIECE_SECONDS,
    report: Callable[[str], None] = print,
) -> None:
    """Writes the dataset; audio that an earlier, interrupted run finished is kept.

    Args:
        folder: where it goes.
        clips: how many of each split ("train", "validation", "test").
        soundfont: see synthesizer.soundfont_path.
        workers: how many processes render; each loads the soundfont once.
        seed: with it, each clip depends on its split and number only: more clips leave the first ones as they are.
        seconds: each clip's length, 1 to 30.
        report: told of progress every ten seconds.

    Raises:
        InvalidInput: an argument is out of its bounds, there is no soundfont, or the folder holds music of other
            settings.
    """
    _check(clips, workers, seed, seconds)
    font = soundfont_path(soundfont)
    folder.mkdir(parents=True, exist_ok=True)
    _check_settings(folder, {"seed": seed, "seconds": seconds, "soundfont": _sha256(font)})
    for split in clips:
        (folder / split).mkdir(exist_ok=True)
    jobs = [_Job(folder, font, seed, split, index, seconds) for split in SPLITS for index in range(clips.get(split, 0))]
    written = []
    started = reported = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for clip in pool.map(_make_clip, jobs, chunksize=_CLIPS_AT_ONCE):
            written.append(clip)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                speed = len(written) * seconds / (reported - started)
                report(f"music: {len(written)} of {len(jobs)} clips, {speed:.0f} times real time")
    write_manifest(folder, written)
    report(f"music: {len(jobs)} clips of {seconds:g} s in {folder}")


def render(piece: Piece, synthesizer: Synthesizer, seconds: float = PIECE_SECONDS) -> NDArray[np.int16]:
    """A piece's first seconds as int16 [samples] at 32 kHz, scaled to the peak the piece asks for.

    Raises:
        InvalidInput: the soundfont made no sound of it.
    """
    waveform = synthesizer.render(to_midi(piece), seconds)
    waveform -= waveform.mean()
    loudest = float(np.abs(waveform).max())
    if loudest < 1e-4:
        raise InvalidInput("soundfont", piece.labels["style"], "renders this piece as silence")
    samples: NDArray[np.int16] = np.round(waveform * (piece.peak / loudest * 32767)).astype(np.int16)
    return samples


def _check(clips: Mapping[str, int], workers: int, seed: int, seconds: float) -> None:
    unknown = sorted(set(clips) - set(SPLITS))
    if unknown:
        raise InvalidInput("clips", unknown, f"splits are {', '.join(SPLITS)}")
    if not clips or min(clips.values()) < 0 or sum(clips.values()) == 0:
        raise InvalidInput("clips", dict(clips), "must name at least one clip, and no negative number")
    if workers < 1:
        raise InvalidInput("workers", workers, "must be at least 1")
    if seed < 0:
        raise InvalidInput("seed", seed, "must not be negative")
    if not 1 <= seconds <= PIECE_SECONDS:
        raise InvalidInput("seconds", seconds, f"must be between 1 and {PIECE_SECONDS:g}")


def _check_settings(folder: Path, settings: Mapping[str, object]) -> None:
    path = folder / SETTINGS_FILE
    if not path.exists():
        path.write_text(json.dumps(settings), encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != settings:
        raise InvalidInput(
            "folder", str(folder), f"holds music of other settings (see {SETTINGS_FILE}): choose another"
        )


@functools.cache
def _synthesizer(soundfont: Path) -> Synthesizer:
    """This process's own, made when its first clip needs it."""
    return Synthesizer(soundfont)


def _make_clip(job: _Job) -> Clip:
    """Composes one piece, and renders it unless its file is there whole."""
    piece = compose(job.seed, job.split, job.index)
    path = job.folder / job.file
    size = _WAV_HEADER_BYTES + 2 * round(job.seconds * SAMPLE_RATE)
    if not path.is_file() or path.stat().st_size != size:
        partial = path.with_suffix(".partial")
        soundfile.write(
            partial, render(piece, _synthesizer(job.soundfont), job.seconds), SAMPLE_RATE, "PCM_16", format="WAV"
        )
        os.replace(partial, path)
    return Clip(
        file=job.file,
        split=job.split,
        seed=job.index,
        seconds=job.seconds,
        sample_rate=SAMPLE_RATE,
        captions=piece.captions,
        labels=piece.labels,
        sha256=_sha256(path),
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
