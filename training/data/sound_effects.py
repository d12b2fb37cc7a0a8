"""Composes a clip of one or two sounds, with its captions, from nothing but a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.manifest import SPLITS
from training.data.procedural_sounds import NATURAL_PAIRS, PROCEDURAL_SOUNDS
from training.data.samples import Recordings, render_sample
from training.data.synthesis import (
    SAMPLE_RATE,
    Draw,
    Rendering,
    Signal,
    band,
    level,
    noise,
    room,
)

HELD_OUT_SPLIT = "test"
MIN_SECONDS = 1
MAX_SECONDS = 60

_SHARE_OF_PAIRS = 0.25
_SHARE_OF_SAMPLES = 0.15
_SHARE_OF_FAR = 0.15
_SHARE_OF_NATURAL_PAIRS = 0.4
_FAR = "in the distance"
_LOUDNESS = 0.07  # RMS of a clip, -23 dBFS, varied by up to 3 dB
_CREST = 11.0  # peaks above this many times the RMS are rounded off


@dataclass(frozen=True, slots=True)
class SoundClip:
    """A clip of the sound dataset.

    Attributes:
        seed: seed of the clip; with the split, it determines the clip.
        waveform: int16 [samples] at 16 kHz.
        labels: `sounds`, `modifiers` (words of the first caption), `source` ("procedural", "samples" or "mixed") and
            `group` (the main sound).
        captions: the complete caption first, then two to four paraphrases.
    """

    seed: int
    waveform: NDArray[np.int16]
    labels: dict[str, Any]
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    sound: str
    rendering: Rendering
    source: str
    background: bool


def compose_sound(
    seed: int, split: str, index: int, *, seconds: float = 10.0, recordings: Recordings | None = None
) -> SoundClip:
    """Composes the index-th clip of a split; the result depends only on the arguments.

    Args:
        seed: seed of the whole dataset.
        split: "train", "validation" or "test". Only "test" uses the held-out parameter ranges and the held-out
            recordings, and it uses no others.
        index: 0, 1, …
        seconds: length of the clip, 1 to 60.
        recordings: from `read_samples`; None for procedural sounds only.

    Raises:
        InvalidRequest: an argument is out of bounds.
    """
    if split not in SPLITS:
        raise InvalidRequest("split", split, f"must be one of {', '.join(SPLITS)}")
    if index < 0 or seed < 0:
        raise InvalidRequest("index" if index < 0 else "seed", min(index, seed), "must not be negative")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InvalidRequest("seconds", seconds, f"must be between {MIN_SECONDS} and {MAX_SECONDS}")
    clip_seed = int(np.random.SeedSequence([seed, SPLITS.index(split), index]).generate_state(1, np.uint64)[0]) >> 1
    held_out = split == HELD_OUT_SPLIT
    draw = Draw(np.random.Generator(np.random.PCG64(np.random.SeedSequence(clip_seed))), held_out=held_out)
    samples = round(seconds * SAMPLE_RATE)
    parts = _parts(draw, samples, recordings, held_out=held_out)
    sources = {part.source for part in parts}
    labels = {
        "sounds": [part.sound for part in parts],
        "modifiers": [modifier for part in parts for modifier in part.rendering.modifiers],
        "source": sources.pop() if len(sources) == 1 else "mixed",
        "group": parts[0].sound,
    }
    return SoundClip(clip_seed, _mastered(draw, _mixed(draw, parts)), labels, _captions(draw, parts))


def _parts(draw: Draw, samples: int, recordings: Recordings | None, *, held_out: bool) -> list[_Part]:
    """Draws one sound, or a background and a sound over it."""

    def recorded() -> _Part:
        assert recordings is not None
        kind, rendering = render_sample(draw, samples, recordings, held_out=held_out)
        return _Part(kind.sound, rendering, "samples", background=False)

    def a_recording_is_next() -> bool:
        return recordings is not None and draw.chance(_SHARE_OF_SAMPLES)

    main = recorded() if a_recording_is_next() else _procedural(draw, samples, list(PROCEDURAL_SOUNDS))
    if not draw.chance(_SHARE_OF_PAIRS):
        return [main]
    if not main.background:
        return [main, _procedural(draw, samples, [name for name, kind in PROCEDURAL_SOUNDS.items() if kind.background])]
    partners = [pair[pair[0] == main.sound] for pair in NATURAL_PAIRS if main.sound in pair]
    if partners and draw.chance(_SHARE_OF_NATURAL_PAIRS):
        return [main, _procedural(draw, samples, partners)]
    if a_recording_is_next():
        return [main, recorded()]
    return [main, _procedural(draw, samples, [name for name, kind in PROCEDURAL_SOUNDS.items() if not kind.background])]


def _procedural(draw: Draw, samples: int, names: Sequence[str]) -> _Part:
    weights = np.array([PROCEDURAL_SOUNDS[name].weight for name in names])
    name = names[int(draw.rng.choice(len(names), p=weights / weights.sum()))]
    kind = PROCEDURAL_SOUNDS[name]
    rendering = kind.render(draw, samples)
    if kind.far and draw.chance(_SHARE_OF_FAR):
        rendering = _far(draw, rendering)
    return _Part(name, rendering, "procedural", kind.background)


def _far(draw: Draw, rendering: Rendering) -> Rendering:
    """Renders a sound as from a distance: with less treble, and with reverberation."""
    spectrum = np.fft.rfft(rendering.waveform)
    frequencies = np.fft.rfftfreq(rendering.waveform.size, 1 / SAMPLE_RATE)
    dulled = np.fft.irfft(spectrum / (1 + (frequencies / draw.between(600, 1000)) ** 2), rendering.waveform.size)
    return Rendering(
        room(draw, dulled, draw.between(1.2, 2.2), 1.0),
        tuple(f"{phrase} {_FAR}" for phrase in rendering.phrases),
        (*rendering.modifiers, _FAR),
    )


def _mixed(draw: Draw, parts: Sequence[_Part]) -> Signal:
    """Mixes all parts; a background is 4 to 12 dB below the sound over it."""
    total = np.zeros(parts[0].rendering.waveform.size)
    all_backgrounds = all(part.background for part in parts)
    for part in parts:
        decibels = draw.between(-3, 3) if all_backgrounds else draw.between(-12, -4) if part.background else 0.0
        total += 10 ** (decibels / 20) * _rounded(part.rendering.waveform)
    return total


def _rounded(waveform: Signal) -> Signal:
    """Scales a waveform to an RMS of 1 and rounds off its peaks."""
    for _ in range(2):
        waveform = level(_CREST * np.tanh(level(waveform) / _CREST))
    return waveform


def _mastered(draw: Draw, waveform: Signal) -> NDArray[np.int16]:
    """Brings a waveform to a natural loudness and adds a recorder's faint noise, without clipping."""
    loud = _LOUDNESS * 10 ** (draw.between(-3, 3) / 20) * _rounded(waveform)
    floor = 10 ** (draw.between(-78, -66) / 20) * noise(draw, waveform.size, band(40, 4000, 0.5))
    mixed = loud + floor
    mixed *= min(1.0, 0.95 / float(np.abs(mixed).max()))
    rounded: NDArray[np.int16] = np.rint(mixed * 32767).astype(np.int16)
    return rounded


def _captions(draw: Draw, parts: Sequence[_Part]) -> tuple[str, ...]:
    """Returns captions as people type them: the complete phrase, the plainest one, and some others."""
    if len(parts) == 1:
        said = parts[0].rendering.phrases
        others = [said[2 + int(n)] for n in draw.rng.permutation(len(said) - 2)]
        return (*said[:2], *others[: int(draw.rng.integers(1, 4))])
    behind, front = (part.rendering.phrases for part in sorted(parts, key=lambda part: not part.background))
    said = (
        f"{behind[0]} with {front[0]}",
        f"{front[1]} and {behind[1]}",
        f"{draw.choose(front)} with {draw.choose(behind)} in the background",
        f"{draw.choose(behind)} and {draw.choose(front)}",
        f"{draw.choose(behind)} with {draw.choose(front)}",
    )
    return tuple(dict.fromkeys(said[: int(draw.rng.integers(3, 6))]))
