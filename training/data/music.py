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
        folder: for the dataset.
        clips: number of clips in each split ("train", "validation", "test").
        soundfont: see synthesizer.soundfont_path.
        workers: number of processes that render; each loads the soundfont once.
        seed: each clip depends only on it, the split and the number, so more clips don't change the first ones.
        seconds: length of each clip, 1 to 30.
        report: receives lines of progress.

    Raises:
        InvalidRequest: an argument is out of bounds, the soundfont is missing, or the folder holds music with other
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
    """Renders a piece's first seconds as int16 [samples] at 32 kHz, scaled to the piece's peak.

    Raises:
        InvalidRequest: the soundfont renders the piece as silence.
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
    """Returns this process's synthesizer, which its first clip creates."""
    return Synthesizer(soundfont)


def _make(soundfont: Path, seed: int, seconds: float, split: str, index: int) -> MadeClip:
    piece = compose(seed, split, index)
    return MadeClip(render(piece, _synthesizer(soundfont), seconds), piece.captions, piece.labels)
