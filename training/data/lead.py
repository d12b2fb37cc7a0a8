"""Composes the lead part: motifs that run through the form, in the register of its instrument and mood."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.random import Generator

from training.data import melody
from training.data.form import Phrase
from training.data.harmony import Chord
from training.data.instruments import INSTRUMENTS
from training.data.notes import Note
from training.data.performance import clamped
from training.data.spec import Spec


def lead_notes(rng: Generator, spec: Spec, phrases: Sequence[Phrase]) -> list[Note]:
    """Composes the melody over a whole form, with a second voice if the instrument gets one."""
    style, instrument = spec.style, INSTRUMENTS[spec.lead]
    low, high = lead_range(spec)
    velocity = 64 + 48 * spec.energy
    legato = 1.0 if instrument.sustained and spec.energy < 0.7 else 0.9
    doubling = _doubling(rng, spec)
    motifs: dict[str, list[melody.Motif]] = {}
    notes: list[Note] = []
    start, pitch = 0.0, None
    for phrase in phrases:
        if phrase.letter in motifs:
            motifs[phrase.letter] = [melody.vary(rng, motif) for motif in motifs[phrase.letter]]
        else:
            motifs[phrase.letter] = _draw_motifs(rng, spec, len(phrase.chords))
        tones = melody.sing(
            rng, motifs[phrase.letter], phrase.chords, beats=style.beats, tonic=spec.tonic, mode=spec.mode,
            low=low, high=high, first=pitch, rests=0.15 if style.figures else 0.05,
        )  # fmt: skip
        for tone in tones:
            bar = int(tone.start // style.beats)
            here = phrase.chord_at(tone.start, style.beats)
            accent = 1.05 if tone.start % 2 == 0 else 0.95
            loud = clamped(velocity * accent * phrase.levels[bar])
            notes.append(Note(start + tone.start, tone.length * legato, tone.pitch, loud))
            if doubling is not None and (tone.length >= 1 or tone.start % 2 == 0):
                notes.append(
                    Note(start + tone.start, tone.length * legato, doubling(tone.pitch, here), round(loud * 0.85))
                )
        pitch = tones[-1].pitch
        start += len(phrase.chords) * style.beats
    return notes


def lead_range(spec: Spec) -> tuple[int, int]:
    """Returns the melody's lowest and highest pitch: part of the instrument's range, placed according to the mood."""
    instrument = INSTRUMENTS[spec.lead]
    window = min(17, instrument.high - instrument.low)
    low = instrument.low + round(spec.register * (instrument.high - instrument.low - window))
    return low, low + window


def _draw_motifs(rng: Generator, spec: Spec, bars: int) -> list[melody.Motif]:
    style = spec.style
    density = min(max(spec.density + style.busyness, 0.0), 1.0)
    first, second = (melody.draw_motif(rng, style.beats, density, style.syncopation) for _ in range(2))
    if style.riff:
        return ([first, melody.vary(rng, first), first, second])[:bars]
    ending = melody.closing(second, style.beats)
    if bars == 2:
        return [first, ending]
    return [first, second, first, ending] if rng.random() < 0.6 else [first, melody.vary(rng, first), second, ending]


def _doubling(rng: Generator, spec: Spec) -> Callable[[int, Chord], int] | None:
    """Draws a second voice for an instrument that can play one: a chord tone below, or an octave if energetic."""
    chance = {"piano": 0.6, "strings": 0.7, "choir": 0.9, "organ": 0.5, "accordion": 0.5, "brass": 0.8, "harp": 0.4,
              "violin": 0.2, "cello": 0.15, "acoustic guitar": 0.3}.get(spec.lead, 0.0)  # fmt: skip
    if rng.random() >= chance:
        return None
    if spec.energy > 0.8:
        return lambda pitch, _here: pitch - 12
    distance = int(rng.choice([3, 5]))
    return lambda pitch, here: melody.below(pitch, here, distance)
