"""Accompaniment of a melody: chord figures and bass lines, drawn for each piece and then fitted to its chords."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator

ALL = -1


@dataclass(frozen=True, slots=True)
class Hit:
    """One attack of a one-bar figure.

    Attributes:
        start: beats from the bar line.
        length: beats.
        voice: index into the chord's voicing (indices past its top are octaves up), or ALL for the whole chord.
        accent: 0 … 1.
        spread: beats between the notes of a strummed chord; a negative spread strums upwards.
    """

    start: float
    length: float
    voice: int = ALL
    accent: float = 0.8
    spread: float = 0.0


Figure = list[Hit]


def _pulse(density: float) -> float:
    """Returns the number of beats between attacks at a density."""
    return 2.0 if density < 0.25 else 1.0 if density < 0.65 else 0.5


def _every(step: float, beats: int) -> list[float]:
    return [index * step for index in range(round(beats / step))]


def pad(_rng: Generator, beats: int, _density: float) -> Figure:
    """Holds the chord through the bar."""
    return [Hit(0, beats)]


def block(rng: Generator, beats: int, density: float) -> Figure:
    """Repeats whole chords evenly and leaves out a weak one now and then."""
    step = min(_pulse(density), beats)
    starts = [start for start in _every(step, beats) if start % 2 == 0 or rng.random() < 0.9]
    return [Hit(start, step * 0.92, accent=0.85 if start == 0 else 0.72) for start in starts]


def power(rng: Generator, beats: int, density: float) -> Figure:
    """Repeats driving chords with random accents."""
    step = 1.0 if density < 0.35 else 0.5
    accents = rng.random(round(beats / step)) < 0.3
    return [
        Hit(start, step * (0.95 if accent or start == 0 else 0.7), accent=1.0 if accent or start == 0 else 0.75)
        for start, accent in zip(_every(step, beats), accents, strict=True)
        if accent or start == 0 or rng.random() < 0.45 + 0.55 * density
    ]


def strum(rng: Generator, beats: int, density: float) -> Figure:
    """Strums like a guitarist: down on the beats, up between them, with some strokes left out."""
    chance = 0.15 + 0.8 * density
    starts = [start for start in _every(0.5, beats) if start in (0, 2) or rng.random() < chance]
    return [
        Hit(start, end - start, accent=0.85 if start % 1 == 0 else 0.65, spread=0.03 if start % 1 == 0 else -0.02)
        for start, end in zip(starts, [*starts[1:], float(beats)], strict=True)
    ]


def arpeggio(rng: Generator, beats: int, density: float) -> Figure:
    """Breaks the chord so that it climbs, falls, turns or leaps, the same way in every bar."""
    step = 1.0 if density < 0.2 else 0.5 if density < 0.7 else 0.25
    count = round(beats / step)
    shape = int(rng.integers(4))
    top = int(rng.integers(3, 6))
    if shape == 0:
        voices = [index % top for index in range(count)]
    elif shape == 1:
        voices = [(index % (2 * top - 2)) for index in range(count)]
        voices = [voice if voice < top else 2 * top - 2 - voice for voice in voices]
    elif shape == 2:
        order = rng.permutation(top)
        voices = [0, *(int(order[index % top]) for index in range(1, count))]
    else:
        voices = [0 if index % 4 == 0 else int(rng.integers(1, top)) for index in range(count)]
    return [
        Hit(index * step, step * 1.6, voice, accent=0.8 if index * step % 2 == 0 else 0.65)
        for index, voice in enumerate(voices)
    ]


def alberti(rng: Generator, beats: int, density: float) -> Figure:
    """Plays low, high, middle, high, like the left hand of classical keyboard music."""
    step = 1.0 if density < 0.2 else 0.5 if density < 0.75 else 0.25
    order = ((0, 2, 1, 2), (0, 1, 2, 1), (0, 2, 1, 1))[rng.integers(3)] if beats == 4 else (0, 1, 2)
    return [Hit(start, step, order[index % len(order)], accent=0.65) for index, start in enumerate(_every(step, beats))]


def off_beat(rng: Generator, beats: int, density: float) -> Figure:
    """Plays short chords between the beats, as in ska and reggae."""
    doubled = density > 0.5 and rng.random() < 0.6
    hits = [Hit(start + 0.5, 0.22, accent=0.9) for start in _every(1.0, beats)]
    return hits + [Hit(start + 0.75, 0.15, accent=0.6) for start in _every(1.0, beats) if doubled and start % 2 == 1]


def back_beat(_rng: Generator, beats: int, _density: float) -> Figure:
    """Plays short chords after each bass note: two in a waltz, one in a march or polka."""
    starts = (1.0, 2.0) if beats == 3 else (0.5, 1.5, 2.5, 3.5) if _density > 0.5 else (1.0, 3.0)
    return [Hit(start, 0.4, accent=0.7) for start in starts]


def stabs(rng: Generator, beats: int, density: float) -> Figure:
    """Plays a few short syncopated chords."""
    positions = [0.0, 0.75, 1.5, 1.75, 2.5, 2.75, 3.25, 3.5]
    chance = 0.3 + 0.5 * density
    chosen = [start for start in positions if start < beats and rng.random() < chance] or [0.0, 1.5]
    return [Hit(start, 0.25, accent=0.85) for start in chosen]


def comp(rng: Generator, beats: int, density: float) -> Figure:
    """Plays few chords, mostly off the beat, like a jazz pianist."""
    positions = [0.0, 0.5, 1.5, 2.5, 3.0, 3.5]
    count = 1 + int(rng.integers(1, 2 + round(2.5 * density)))
    chosen = sorted(float(start) for start in rng.choice(positions, size=min(count, 5), replace=False))
    return [Hit(start, 0.35 if rng.random() < 0.6 else 0.9, accent=0.75) for start in chosen if start < beats]


def gate(rng: Generator, beats: int, density: float) -> Figure:
    """Repeats short synthesizer chords with random gaps."""
    step = 0.5 if density < 0.6 else 0.25
    return [
        Hit(start, step * 0.6, accent=0.85 if start % 1 == 0 else 0.65)
        for start in _every(step, beats)
        if start == 0 or rng.random() < 0.65
    ]


def montuno(rng: Generator, beats: int, _density: float) -> Figure:
    """Plays the syncopated broken chord of a Latin piano."""
    return [
        Hit(start, 0.4, ALL if rng.random() < 0.35 else int(rng.integers(4)), accent=0.8)
        for start in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
        if start < beats and (start % 1 == 0.5 or start == 0 or rng.random() < 0.45)
    ]


def chorale(rng: Generator, beats: int, density: float) -> Figure:
    """Plays even chords like a choir or quartet."""
    step = 2.0 if density < 0.4 and beats == 4 else 1.0
    starts = [start for start in _every(step, beats) if start == 0 or rng.random() < 0.85]
    ends = [*starts[1:], float(beats)]
    return [Hit(start, end - start, accent=0.75) for start, end in zip(starts, ends, strict=True)]


FIGURES: dict[str, Callable[[Generator, int, float], Figure]] = {
    "pad": pad, "block": block, "power": power, "strum": strum, "arpeggio": arpeggio, "alberti": alberti,
    "off-beat": off_beat, "back-beat": back_beat, "stabs": stabs, "comp": comp, "gate": gate, "montuno": montuno,
    "chorale": chorale,
}  # fmt: skip


# Bass figures: voice 0 is the root, 1 the fifth, 2 the octave, 3 the third, 4 a step towards the next root.
def held_bass(_rng: Generator, beats: int, _density: float) -> Figure:
    """Holds the root through the bar."""
    return [Hit(0, beats, 0)]


def root_bass(rng: Generator, beats: int, density: float) -> Figure:
    """Repeats the root."""
    step = _pulse(density)
    return [
        Hit(start, step * 0.9, 0, 0.9 if start == 0 else 0.75)
        for start in _every(min(step, beats), beats)
        if start == 0 or rng.random() < 0.92
    ]


def fifth_bass(_rng: Generator, beats: int, _density: float) -> Figure:
    """Alternates root and fifth."""
    return [Hit(0, 0.9, 0, 0.9)] if beats == 3 else [Hit(0, 0.9, 0, 0.9), Hit(2, 0.9, 1, 0.8)]


def walking_bass(rng: Generator, beats: int, _density: float) -> Figure:
    """Plays one note per beat; the last one leads into the next chord."""
    inner = [int(voice) for voice in rng.permutation([1, 3, 2])[: beats - 2]]
    return [Hit(float(beat), 0.95, voice, 0.85) for beat, voice in enumerate([0, *inner, 4])]


def octave_bass(_rng: Generator, beats: int, density: float) -> Figure:
    """Alternates root and octave, in eighths when dense."""
    step = 0.5 if density > 0.3 else 1.0
    return [Hit(start, step * 0.8, 2 * (index % 2), 0.85) for index, start in enumerate(_every(step, beats))]


def syncopated_bass(rng: Generator, beats: int, density: float) -> Figure:
    """Plays random off-beats around a firm first beat."""
    starts = [
        start
        for start in _every(0.25, beats)
        if start == 0 or rng.random() < (0.1 + 0.45 * density) * (1.4 if start % 1 else 0.6)
    ]
    ends = [*starts[1:], float(beats)]
    return [
        Hit(start, min(end - start, 0.7), 0 if start == 0 else int(rng.choice([0, 0, 2, 1, 3])), 0.85)
        for start, end in zip(starts, ends, strict=True)
    ]


def tumbao_bass(_rng: Generator, beats: int, _density: float) -> Figure:
    """Plays a Latin bass: the root, then fifth and octave ahead of the beat."""
    return [hit for hit in (Hit(0, 1.4, 0, 0.9), Hit(1.5, 1.4, 1, 0.8), Hit(3.0, 0.9, 2, 0.85)) if hit.start < beats]


def driving_bass(_rng: Generator, beats: int, density: float) -> Figure:
    """Plays even roots like a sequencer."""
    step = 0.5 if density < 0.65 else 0.25
    return [Hit(start, step * 0.7, 0, 0.9 if start % 1 == 0.5 else 0.75) for start in _every(step, beats)]


BASSES: dict[str, Callable[[Generator, int, float], Figure]] = {
    "held": held_bass, "root": root_bass, "fifth": fifth_bass, "walking": walking_bass, "octave": octave_bass,
    "syncopated": syncopated_bass, "tumbao": tumbao_bass, "driving": driving_bass,
}  # fmt: skip
