"""Source audio for comparison: pieces and sounds composed on the fly, with the facts from their captions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.audio.files import read_audio
from audiocraft_triton.audio.waveforms import convert
from audiocraft_triton.contract.errors import InvalidRequest
from training.audio_crops import audio_files
from training.data.composer import compose
from training.data.music import render
from training.data.notes import Piece
from training.data.sound_effects import SoundClip, compose_sound
from training.data.synthesizer import Synthesizer
from training.measures.music import GROUPS, Asked
from training.measures.signal import Mono

MUSIC_SEED = 4
SOUND_SEED = 4
TEMPOS = ("slow", "fast")
MOST_TRIES = 20_000

Composed = TypeVar("Composed")


@dataclass(frozen=True, slots=True)
class MusicSource:
    """A rendered piece.

    Attributes:
        waveform: float32 [samples] at 32 kHz.
        asked: the facts from its labels.
        piece: the rendered piece.
    """

    waveform: Mono
    asked: Asked
    piece: Piece


def pieces(split: str, number: int) -> list[Piece]:
    """Composes the first pieces of a split."""
    return [compose(MUSIC_SEED, split, index) for index in range(number)]


def pieces_of_groups(split: str, each: int) -> list[Piece]:
    """Composes the first `each` pieces of each instrument group."""
    chosen = _first_of_kinds((compose(MUSIC_SEED, split, index) for index in count()), _group, GROUPS, each)
    return [piece for group in GROUPS for piece in chosen[group]]


def render_all(
    chosen: Sequence[Piece], seconds: float, soundfont: Path | None = None, advance: Callable[[], None] = lambda: None
) -> list[MusicSource]:
    """Renders pieces with one synthesizer.

    Args:
        chosen: the pieces.
        seconds: length of each clip.
        soundfont: None for the soundfont of the training data.
        advance: called after each clip.

    Raises:
        InvalidRequest: the synthesizer or the soundfont is not installed; the message says what to install.
    """
    sources = []
    with Synthesizer(soundfont) as synthesizer:
        for piece in chosen:
            sources.append(MusicSource(_float(render(piece, synthesizer, seconds)), _asked(piece), piece))
            advance()
    return sources


def sounds(split: str, kinds: Iterable[str], each: int, seconds: float) -> dict[str, list[Mono]]:
    """Composes the first `each` sounds of each kind without a background: float32 [samples] at 16 kHz, by kind."""
    chosen = _first_of_kinds(_sound_clips(split, seconds), _kind, tuple(kinds), each)
    return {kind: [_float(clip.waveform) for clip in clips] for kind, clips in chosen.items()}


def sound_mixture(split: str, number: int, seconds: float) -> list[Mono]:
    """Composes the first clips of a split, of any kind: float32 [samples] at 16 kHz."""
    return [_float(clip.waveform) for clip in islice(_sound_clips(split, seconds), number)]


def recordings(folder: Path, seconds: float) -> list[tuple[Mono, int]]:
    """Reads the beginning of each audio file below a folder as mono, with its sample rate.

    Raises:
        InvalidRequest: the folder has no audio files, or one can't be read.
    """
    clips = []
    for path in audio_files(folder):
        waveform, rate = read_audio(path.read_bytes())
        clips.append((convert(waveform, rate, rate, 1)[0, : int(seconds * rate)], rate))
    return clips


def _asked(piece: Piece) -> Asked:
    labels = piece.labels
    tempo = labels["tempo_word"] if labels["tempo_word"] in TEMPOS else None
    return Asked(piece.captions[0], tempo, bool(labels["drums"]), f"{labels['key']} {labels['mode']}", _group(piece))


def _group(piece: Piece) -> str | None:
    group: str | None = piece.labels["group"]
    return group


def _kind(clip: SoundClip) -> str | None:
    heard: list[str] = clip.labels["sounds"]
    return heard[0] if len(heard) == 1 else None


def _sound_clips(split: str, seconds: float) -> Iterator[SoundClip]:
    return (compose_sound(SOUND_SEED, split, index, seconds=seconds) for index in count())


def _float(samples: NDArray[np.int16]) -> Mono:
    return np.asarray(samples / 32768.0, dtype=np.float32)


def _first_of_kinds(
    stream: Iterator[Composed], kind: Callable[[Composed], str | None], kinds: Sequence[str], each: int
) -> Mapping[str, list[Any]]:
    chosen: dict[str, list[Any]] = {name: [] for name in kinds}
    for item in islice(stream, MOST_TRIES):
        name = kind(item)
        if name in chosen and len(chosen[name]) < each:
            chosen[name].append(item)
        if all(len(row) == each for row in chosen.values()):
            return chosen
    short = [name for name, row in chosen.items() if len(row) < each]
    raise InvalidRequest("kinds", short, f"occur less than {each} times in the first {MOST_TRIES:,} clips of a split")
