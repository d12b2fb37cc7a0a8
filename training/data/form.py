"""Draws the form of a piece: recurring phrases, each with its chords and its loudness."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.random import Generator

from training.data.harmony import Chord, chord, phrase_numerals
from training.data.spec import Spec

PIECE_SECONDS = 30.0
_FORMS = ("AABA", "ABAC", "AABB", "ABAB", "AABC")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase of the form: its letter, and for each bar its chords and its loudness around 1."""

    letter: str
    chords: list[list[Chord]]
    levels: list[float]

    def chord_at(self, beat: float, beats: int) -> Chord:
        """Returns the chord at a beat of the phrase, whose bars have `beats` beats."""
        chords = self.chords[int(beat // beats)]
        return chords[int(beat % beats * len(chords) / beats)]


def draw_form(rng: Generator, spec: Spec) -> list[Phrase]:
    """Draws phrases of two or four bars that fill a piece; the second of each pair closes."""
    style = spec.style
    bars = math.ceil(PIECE_SECONDS * spec.bpm / 60 / style.beats) + 1
    blues = style.harmony == "blues"
    length = 4 if blues or bars >= 11 else 2
    form = "ABC" if blues else _FORMS[rng.integers(len(_FORMS))]
    # Slow music with long bars changes chords within the bar; otherwise ten seconds would have only two chords.
    per_bar = 2 if spec.bpm < 76 and style.beats == 4 and style.harmony != "blues" and rng.random() < 0.6 else 1
    twelve = phrase_numerals(rng, "blues", spec.mode, 12, closing=True) if blues else []
    known: dict[tuple[str, bool], list[str]] = {}
    phrases = []
    for index in range(-(-bars // length)):
        letter, closing = form[index % len(form)], index % 2 == 1
        if (letter, closing) not in known:
            if blues:
                numerals = twelve["ABC".index(letter) * 4 :][:4]
            else:
                numerals = phrase_numerals(rng, style.harmony, spec.mode, length * per_bar, closing=closing)
                opening = known.get((letter, not closing))
                if opening is not None:  # the same phrase with another ending
                    numerals = [*opening[:-2], *numerals[-2:]] if style.harmony == "classical" else opening
            known[letter, closing] = numerals
        chords = [chord(numeral, spec.tonic, spec.mode) for numeral in known[letter, closing]]
        bars_of_chords = [chords[bar * per_bar : (bar + 1) * per_bar] for bar in range(length)]
        level = rng.uniform(0.93, 1.03) if index == 0 else rng.uniform(0.86, 1.1)
        phrases.append(Phrase(letter, bars_of_chords, [level * (0.97 + 0.03 * (bar % 2)) for bar in range(length)]))
    return phrases
