"""Composes a piece from a seed: its specification, its form, and the notes of each player."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.random import PCG64, Generator, SeedSequence

from audiocraft_triton.contract.errors import InvalidRequest
from training.data import drums
from training.data.accompaniment import (
    ALL,
    BASSES,
    FIGURES,
    Figure,
)
from training.data.captions import captions
from training.data.form import Phrase, draw_form
from training.data.harmony import Chord, voicing
from training.data.instruments import INSTRUMENTS
from training.data.lead import lead_notes, lead_range
from training.data.manifest import SPLITS
from training.data.notes import (
    DRUM_CHANNEL,
    Note,
    Part,
    Piece,
)
from training.data.performance import clamped, humanize, without_collisions
from training.data.spec import Spec, draw_spec


def compose(seed: int, split: str, index: int) -> Piece:
    """Composes piece number `index` of a split; the result depends only on the three arguments.

    Raises:
        InvalidRequest: the split is unknown, or a number is negative.
    """
    if split not in SPLITS:
        raise InvalidRequest("split", split, f"must be one of {', '.join(SPLITS)}")
    for name, value in (("seed", seed), ("index", index)):
        if value < 0:
            raise InvalidRequest(name, value, "must be at least 0")
    rng = Generator(PCG64(SeedSequence([seed, SPLITS.index(split), index])))
    spec = draw_spec(rng, split)
    return Piece(
        bpm=spec.bpm,
        beats_per_bar=spec.style.beats,
        peak=spec.peak,
        parts=_compose_parts(rng, spec),
        labels=_labels(spec),
        captions=captions(rng, spec.description),
    )


def _labels(spec: Spec) -> dict[str, object]:
    return {
        "style": spec.style.name,
        "group": spec.style.name,
        "tempo_word": spec.tempo_word,
        "bpm": spec.bpm,
        "mood": spec.mood,
        "key": spec.key,
        "mode": spec.mode,
        "lead": spec.lead,
        "instruments": list(spec.instruments),
        "drums": spec.style.drums is not None,
        "solo": spec.style.solo,
        "held_out": spec.held_out,
    }


def _compose_parts(rng: Generator, spec: Spec) -> tuple[Part, ...]:
    phrases = draw_form(rng, spec)
    style = spec.style
    lead = INSTRUMENTS[spec.lead]
    parts = [_part(rng, spec, "lead", spec.lead, 0, lead.volume, lead_notes(rng, spec, phrases))]
    if spec.comp is not None:
        comp = INSTRUMENTS[spec.comp]
        volume = comp.volume * (0.85 if style.solo else 0.72)
        parts.append(_part(rng, spec, "accompaniment", spec.comp, 1, volume, _comp_notes(rng, spec, phrases)))
    if style.basses:
        name = style.bass or spec.comp or spec.lead
        volume = INSTRUMENTS[name].volume * (0.85 if style.solo else 0.95)
        parts.append(_part(rng, spec, "bass", name, 2, volume, _bass_notes(rng, spec, phrases)))
    if spec.pad is not None:
        volume = INSTRUMENTS[spec.pad].volume * 0.6
        parts.append(_part(rng, spec, "pad", spec.pad, 3, volume, _pad_notes(spec, phrases)))
    if style.drums is not None:
        levels = [level for phrase in phrases for level in phrase.levels]
        velocity = 70 + 48 * spec.energy
        notes = drums.play(rng, drums.KITS[style.drums], levels, style.beats, spec.density, velocity)
        parts.append(Part("drums", 0, DRUM_CHANNEL, 105, tuple(humanize(rng, spec, notes))))
    return tuple(parts)


def _part(
    rng: Generator, spec: Spec, role: str, instrument: str, channel: int, volume: float, notes: list[Note]
) -> Part:
    played = without_collisions(humanize(rng, spec, notes))
    return Part(role, INSTRUMENTS[instrument].program, channel, min(round(volume), 127), tuple(played))


def _comp_notes(rng: Generator, spec: Spec, phrases: Sequence[Phrase]) -> list[Note]:
    style = spec.style
    name = style.figures[rng.integers(len(style.figures))]
    centre = 57 - (4 if style.solo else 0) + round(6 * (spec.register - 0.45))
    centre = max(min(centre, lead_range(spec)[0] - 3), 48)  # below the melody, but above the basses
    power = name == "power"
    voices = 4 if style.harmony in ("jazz", "blues") or name in ("strum", "chorale") else 3
    return _figure_notes(
        rng,
        spec,
        phrases,
        lambda beats, density: FIGURES[name](rng, beats, density),
        lambda here, before: _power_chord(here) if power else voicing(here, before, centre, voices),
        54 + 44 * spec.energy,
    )


def _pad_notes(spec: Spec, phrases: Sequence[Phrase]) -> list[Note]:
    centre = 60 + round(6 * (spec.register - 0.45))
    notes = []
    start, before = 0.0, None
    for phrase in phrases:
        for chords in phrase.chords:
            length = spec.style.beats / len(chords)
            for here in chords:
                before = voicing(here, before, centre, 3)
                notes += [Note(start, length, pitch, clamped(52 + 40 * spec.energy)) for pitch in before]
                start += length
    return notes


def _power_chord(here: Chord) -> tuple[int, ...]:
    root = 40 + (here.root - 40) % 12
    return (root, root + 7, root + 12)


def _bass_notes(rng: Generator, spec: Spec, phrases: Sequence[Phrase]) -> list[Note]:
    style = spec.style
    name = style.basses[rng.integers(len(style.basses))]
    low = {"acoustic guitar": 40, "nylon guitar": 40, "strings": 36, "cello": 36, "harp": 36, "organ": 36}.get(
        style.bass or spec.comp or spec.lead, 31 if style.bass else 34
    )

    def voices(here: Chord, _before: tuple[int, ...] | None) -> tuple[int, ...]:
        root = low + (here.root - low) % 12
        third, fifth = ((here.pitch_classes[which] - here.root) % 12 for which in (1, 2))
        return (
            root,
            root + fifth if root + fifth <= low + 12 else root + fifth - 12,
            root + 12,
            root + third,
            root + 2,
        )

    return _figure_notes(
        rng, spec, phrases, lambda beats, density: BASSES[name](rng, beats, density), voices, 64 + 46 * spec.energy
    )


def _figure_notes(
    rng: Generator,
    spec: Spec,
    phrases: Sequence[Phrase],
    draw: Callable[[int, float], Figure],
    voices: Callable[[Chord, tuple[int, ...] | None], tuple[int, ...]],
    velocity: float,
) -> list[Note]:
    """Draws one figure for each letter of the form and fits it to every bar's chords."""
    style = spec.style
    figures: dict[str, Figure] = {}
    notes: list[Note] = []
    bar_start = 0.0
    before: tuple[int, ...] | None = None
    for phrase in phrases:
        if phrase.letter not in figures:
            density = min(max(spec.density + float(rng.uniform(-0.05, 0.08)), 0.0), 1.0)
            figures[phrase.letter] = draw(style.beats, density)
        for chords, level in zip(phrase.chords, phrase.levels, strict=True):
            span = style.beats / len(chords)
            for turn, here in enumerate(chords):
                before = voices(here, before)
                notes += _fit(figures[phrase.letter], turn * span, span, bar_start, before, velocity * level)
            bar_start += style.beats
    return notes


def _fit(
    figure: Figure, start: float, span: float, bar_start: float, pitches: tuple[int, ...], velocity: float
) -> list[Note]:
    """Returns the notes of the figure's hits within [start, start + span) of a bar; a new chord restarts held hits."""
    notes = []
    for hit in figure:
        begin = max(hit.start, start)
        if not (begin < start + span and hit.start + hit.length > start) or (hit.start < start and hit.length < span):
            continue
        length = min(hit.start + hit.length - begin, start + span - begin) if hit.length > span else hit.length
        chosen = (
            pitches if hit.voice == ALL else (pitches[hit.voice % len(pitches)] + 12 * (hit.voice // len(pitches)),)
        )
        ordered = chosen if hit.spread >= 0 else chosen[::-1]
        notes += [
            Note(bar_start + begin + index * abs(hit.spread), length, pitch, clamped(velocity * hit.accent))
            for index, pitch in enumerate(ordered)
        ]
    return notes
