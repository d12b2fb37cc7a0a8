"""The music dataset: pieces composed from integer seeds, played by fluidsynth at 32 kHz."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.builder import (
    Dataset,
    MadeClip,
    build,
    file_sha256,
)
from training.data.composer import compose
from training.data.form import PIECE_SECONDS
from training.data.midi import to_midi
from training.data.notes import Piece
from training.data.synthesizer import SAMPLE_RATE, Synthesizer, soundfont_path


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
    """Writes the dataset, as `training.data.builder.build` does.

    Args:
        folder: where it goes.
        clips: how many of each split ("train", "validation", "test").
        soundfont: see synthesizer.soundfont_path.
        workers: how many processes render; each loads the soundfont once.
        seed: with it, each clip depends on its split and number only: more clips leave the first ones as they are.
        seconds: each clip's length, 1 to 30.
        report: told of progress.

    Raises:
        InvalidRequest: an argument is out of its bounds, there is no soundfont, or the folder holds music of other
            settings.
    """
    if seed < 0:
        raise InvalidRequest("seed", seed, "must not be negative")
    if not 1 <= seconds <= PIECE_SECONDS:
        raise InvalidRequest("seconds", seconds, f"must be between 1 and {PIECE_SECONDS:g}")
    font = soundfont_path(soundfont)
    settings = {"seed": seed, "seconds": seconds, "soundfont": file_sha256(font)}
    make = functools.partial(_make, font, seed, seconds)
    build(Dataset("music", make, SAMPLE_RATE, seconds, settings), folder, clips, workers=workers, report=report)


def render(piece: Piece, synthesizer: Synthesizer, seconds: float = PIECE_SECONDS) -> NDArray[np.int16]:
    """A piece's first seconds as int16 [samples] at 32 kHz, scaled to the peak the piece asks for.

    Raises:
        InvalidRequest: the soundfont made no sound of it.
    """
    waveform = synthesizer.render(to_midi(piece), seconds)
    waveform -= waveform.mean()
    loudest = float(np.abs(waveform).max())
    if loudest < 1e-4:
        raise InvalidRequest("soundfont", piece.labels["style"], "renders this piece as silence")
    samples: NDArray[np.int16] = np.round(waveform * (piece.peak / loudest * 32767)).astype(np.int16)
    return samples


@functools.cache
def _synthesizer(soundfont: Path) -> Synthesizer:
    """This process's own, made when its first clip needs it."""
    return Synthesizer(soundfont)


def _make(soundfont: Path, seed: int, seconds: float, split: str, index: int) -> MadeClip:
    piece = compose(seed, split, index)
    return MadeClip(render(piece, _synthesizer(soundfont), seconds), piece.captions, piece.labels)
