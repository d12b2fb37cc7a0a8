"""Melodies: motifs that return and vary, chord tones on strong beats, steps in between, and a shape for each phrase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from training.data.harmony import SCALES, Chord

GRID = 4  # positions per beat


@dataclass(frozen=True, slots=True)
class Motif:
    """One bar of melody: starts and lengths of its notes (grid positions), and the line's moves (scale steps)."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tone:
    """A melody note: its start in beats from the phrase's beginning, its length in beats, its MIDI pitch."""

    start: float
    length: float
    pitch: int


def draw_motif(rng: Generator, beats: int, density: float, syncopation: float) -> Motif:
    """Draws a new one-bar motif.

    Args:
        rng: source of the choices.
        beats: number of beats in the bar.
        density: 0 (a note or two per bar) … 1 (sixteenths).
        syncopation: 0 … 1, how often a split is not in the middle.
    """
    lengths = _divide(rng, beats * GRID, density, syncopation)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int).tolist()
    direction = rng.choice([-1, 1])
    steps = []
    for _ in lengths:
        if rng.random() < 0.25:
            direction = -direction
        size = rng.choice([0, 1, 2, 3], p=[0.08, 0.62, 0.22, 0.08])
        steps.append(int(direction * size))
    return Motif(tuple(starts), tuple(lengths), tuple(steps))


def _divide(rng: Generator, span: int, density: float, syncopation: float) -> list[int]:
    """Splits a span of grid positions recursively, more often at a higher density."""
    shortest = 4 if density < 0.3 else 2 if density < 0.72 else 1
    if span <= shortest:
        return [span]
    # The probability that a span of one, two or four beats stays whole.
    whole = {16: 0.55, 12: 0.5, 8: 0.75, 6: 0.6, 4: 1.0, 3: 0.9, 2: 1.2}.get(span, 0.5) - 1.15 * density
    if span <= 8 and rng.random() < whole:
        return [span]
    if span == 16 and rng.random() < whole * 0.5:
        return [span]
    if span == 12:
        first = int(rng.choice([4, 8], p=[0.6, 0.4]))
    elif span % 4 == 0 and span // 4 >= shortest and rng.random() < syncopation:
        first = span * int(rng.choice([1, 3])) // 4
    else:
        first = max(span // 2, 1)
    return _divide(rng, first, density, syncopation) + _divide(rng, span - first, density, syncopation)


def vary(rng: Generator, motif: Motif) -> Motif:
    """Returns the motif with the same rhythm and a slightly changed line."""
    steps = [step + int(rng.choice([-1, 1])) if rng.random() < 0.3 else step for step in motif.steps]
    return Motif(motif.starts, motif.lengths, tuple(steps))


def closing(motif: Motif, beats: int) -> Motif:
    """Returns the motif's first half followed by a held note, which ends a phrase."""
    half = 4 if beats == 3 else beats * GRID // 2
    kept = [index for index, start in enumerate(motif.starts) if start < half]
    lengths = [min(motif.lengths[index], half - motif.starts[index]) for index in kept]
    return Motif(
        (*(motif.starts[index] for index in kept), half),
        (*lengths, beats * GRID - half),
        (*(motif.steps[index] for index in kept), -1),
    )


def sing(
    rng: Generator,
    motifs: Sequence[Motif],
    chords: Sequence[Sequence[Chord]],
    *,
    beats: int,
    tonic: int,
    mode: str,
    low: int,
    high: int,
    first: int | None,
    rests: float,
) -> list[Tone]:
    """Fits a phrase's motifs to its chords.

    Args:
        rng: source of the choices.
        motifs: one per bar.
        chords: the chords of each bar, which share it equally.
        beats: per bar.
        tonic: pitch class of the key.
        mode: "major" or "minor".
        low: lowest pitch.
        high: highest pitch.
        first: the previous pitch, or None at the beginning.
        rests: 0 … 1, how often a short note in a weak place is left out.
    """
    peak = rng.uniform(0.3, 0.8)
    pitch = first if first is not None else (low + high) // 2
    tones = []
    for bar, motif in enumerate(motifs):
        for index, (start, length, step) in enumerate(zip(motif.starts, motif.lengths, motif.steps, strict=True)):
            here = chords[bar][start * len(chords[bar]) // (beats * GRID)]
            place = (bar + start / (beats * GRID)) / len(motifs)
            arch = low + (high - low) * (0.3 + 0.45 * (1 - abs(place - peak) / max(peak, 1 - peak)))
            if index == 0:
                pitch = _nearest(round(0.5 * pitch + 0.5 * arch), here.pitch_classes, low, high)
            else:
                if step * (arch - pitch) < 0 and abs(arch - pitch) > 5:  # too far from the phrase's shape: turn back
                    step = -step
                pitch = _move(pitch, step, here, tonic, mode, low, high)
                if start % (2 * GRID) == 0 or length >= 2 * GRID:
                    pitch = _nearest(pitch, here.pitch_classes, low, high)
            if index and length <= 2 and start % GRID and rng.random() < rests:
                continue
            tones.append(Tone(bar * beats + start / GRID, length / GRID, pitch))
    return tones


def _move(pitch: int, step: int, here: Chord, tonic: int, mode: str, low: int, high: int) -> int:
    """Returns the pitch `step` scale steps away; the direction reverses at the edges of the range.

    Where scale and chord disagree, the chord wins: over V in minor the scale's seventh degree is raised.
    """
    classes = {(tonic + degree) % 12 for degree in SCALES[mode]}
    for member in here.pitch_classes:
        if member not in classes:
            raised = (member + 1 - tonic) % 12 in (0, 7)
            classes.discard((member - 1 if raised else member + 1) % 12)
            classes.add(member)
    direction = 1 if step > 0 else -1
    for _ in range(abs(step)):
        ahead = next(p for p in range(pitch + direction, pitch + 6 * direction, direction) if p % 12 in classes)
        if not low <= ahead <= high:
            direction = -direction
            ahead = next(p for p in range(pitch + direction, pitch + 6 * direction, direction) if p % 12 in classes)
        pitch = ahead
    return pitch


def _nearest(pitch: int, classes: Sequence[int], low: int, high: int) -> int:
    members = [candidate for candidate in range(low, high + 1) if candidate % 12 in classes]
    return min(members, key=lambda candidate: (abs(candidate - pitch), candidate))


def below(pitch: int, here: Chord, distance: int) -> int:
    """Returns the chord tone at least `distance` semitones below a pitch, for a second voice."""
    return next(candidate for candidate in range(pitch - distance, 0, -1) if candidate % 12 in here.pitch_classes)
