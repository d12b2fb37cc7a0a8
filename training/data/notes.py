"""The elements of a composed piece: notes in beats, parts that play them, and the piece with its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DRUM_CHANNEL = 9


@dataclass(frozen=True, slots=True)
class Note:
    """One note.

    Attributes:
        start: in beats (quarter notes) from the beginning.
        length: in beats.
        pitch: MIDI note number; a key of the General MIDI drum map in a drum part.
        velocity: 1 … 127.
    """

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Part:
    """The notes of one instrument.

    Attributes:
        role: "lead", "accompaniment", "bass", "pad" or "drums".
        program: General MIDI program, 0 … 127.
        channel: MIDI channel, 0 … 15; 9 for drums.
        volume: MIDI channel volume, 0 … 127.
        notes: in any order.
    """

    role: str
    program: int
    channel: int
    volume: int
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A composed piece.

    Attributes:
        bpm: beats (quarter notes) per minute.
        beats_per_bar: 3 or 4.
        peak: peak of the rendered clip, 0 … 1; calm music is quieter.
        parts: the instruments with their notes.
        labels: style, tempo_word, bpm, mood, key, mode, lead, instruments, drums, solo, group, held_out.
        captions: the main caption first, then its paraphrases.
    """

    bpm: float
    beats_per_bar: int
    peak: float
    parts: tuple[Part, ...]
    labels: Mapping[str, Any]
    captions: tuple[str, ...]
