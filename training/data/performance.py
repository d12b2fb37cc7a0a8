"""Turns written notes into played ones: adds swing and small human deviations, within MIDI's limits."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from training.data.notes import Note
from training.data.spec import Spec

_TIMING_SECONDS = 0.006  # standard deviation of a player's distance from the beat
_VELOCITY_SPREAD = 3.5


def humanize(rng: Generator, spec: Spec, notes: list[Note]) -> list[Note]:
    """Swings the off-beats and makes timing and loudness slightly uneven, as people play."""
    jitter = rng.normal(0, _TIMING_SECONDS * spec.bpm / 60, len(notes))
    loudness = rng.normal(0, _VELOCITY_SPREAD, len(notes))
    return [
        Note(
            max(_swung(note.start, spec.style.swing) + float(late), 0.0),
            note.length,
            note.pitch,
            clamped(note.velocity + float(louder)),
        )
        for note, late, louder in zip(notes, jitter, loudness, strict=True)
    ]


def _swung(beat: float, swing: float) -> float:
    whole, part = divmod(beat, 1.0)
    return whole + float(np.interp(part, (0.0, 0.5, 1.0), (0.0, swing, 1.0)))


def without_collisions(notes: list[Note]) -> list[Note]:
    """Ends each note before its pitch is struck again, because MIDI can't hold one pitch twice."""
    following: dict[int, float] = {}
    kept = []
    for note in sorted(notes, key=lambda note: (note.start, note.pitch), reverse=True):
        end = min(note.start + note.length, following.get(note.pitch, math.inf))
        if end - note.start > 0.02:
            kept.append(Note(note.start, end - note.start, note.pitch, note.velocity))
            following[note.pitch] = note.start
    return kept[::-1]


def clamped(value: float) -> int:
    """Returns the nearest MIDI velocity."""
    return min(max(round(value), 1), 127)
