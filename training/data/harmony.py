"""Chords and progressions: roman numerals in a key, phrases from a small functional grammar, and voice leading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from audiocraft_triton.contract.errors import InvalidRequest

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII")
_NUMERAL = re.compile(r"([b#]?)([IV]+|[iv]+)(.*)")
_SUFFIXES = {
    "": (), "7": (10,), "maj7": (11,), "6": (9,), "9": (10, 14), "o": (), "o7": (9,), "h7": (10,),
}  # fmt: skip

# The numerals that may serve as tonic, subdominant and dominant; the first of each is the most common.
_FUNCTIONS = {
    "major": {"T": ("I", "I", "I", "I", "vi", "vi", "iii"), "S": ("IV", "IV", "ii"), "D": ("V", "V", "V7")},
    "minor": {"T": ("i", "i", "i", "i", "VI", "III"), "S": ("iv", "iv", "VI"), "D": ("V", "V7", "VII")},
}
_LOOPS = ("TTSD", "TDTS", "TSTD", "TSDS", "TSSD", "TDSD")
_JAZZ = {
    "major": (("ii7", "V7", "Imaj7", "vi7"), ("Imaj7", "vi7", "ii7", "V7"), ("iii7", "vi7", "ii7", "V7"),
              ("Imaj7", "IVmaj7", "ii7", "V7"), ("Imaj7", "II7", "ii7", "V7"), ("ii7", "V7", "Imaj7", "Imaj7")),
    "minor": (("iih7", "V7", "i7", "i7"), ("i7", "iv7", "iih7", "V7"), ("i7", "VImaj7", "iih7", "V7"),
              ("iv7", "VII7", "IIImaj7", "V7"), ("i7", "i6", "iih7", "V7")),
}  # fmt: skip
_ROCK = {
    "major": (("I", "bVII", "IV", "I"), ("I", "IV", "V", "IV"), ("I", "V", "IV", "V"), ("vi", "IV", "I", "V")),
    "minor": (("i", "VII", "VI", "VII"), ("i", "VI", "III", "VII"), ("i", "iv", "VI", "VII"), ("i", "III", "VII", "i")),
}
_VAMPS = {
    "major": (("I7", "I7", "IV7", "I7"), ("I", "I", "IV", "IV"), ("I7", "IV7", "I7", "V7"), ("Imaj7", "IVmaj7") * 2),
    "minor": (("i7", "i7", "iv7", "i7"), ("i", "i", "VI", "VII"), ("i7", "iv7", "i7", "V7"), ("i", "VII") * 2),
}
_POOLS: Mapping[str, Mapping[str, Sequence[Sequence[str]]]] = {"jazz": _JAZZ, "rock": _ROCK, "vamp": _VAMPS}
_BLUES = {
    "major": ("I7", "IV7", "I7", "I7", "IV7", "IV7", "I7", "I7", "V7", "IV7", "I7", "V7"),
    "minor": ("i7", "iv7", "i7", "i7", "iv7", "iv7", "i7", "i7", "V7", "iv7", "i7", "V7"),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord as pitch classes, its root first: 0 is C."""

    pitch_classes: tuple[int, ...]

    @property
    def root(self) -> int:
        return self.pitch_classes[0]


def chord(numeral: str, tonic: int, mode: str) -> Chord:
    """Returns the chord of a roman numeral ("IV", "ii7", "bVII", "V7") in a key; in minor VI, VII and III are flat.

    Raises:
        InvalidRequest: the grammar doesn't know the numeral.
    """
    match = _NUMERAL.fullmatch(numeral)
    if match is None or match[2].upper() not in _NUMERALS or match[3] not in _SUFFIXES:
        raise InvalidRequest("numeral", numeral, "must be a roman numeral with an optional 7, maj7, 6, 9, o, o7 or h7")
    accidental, name, suffix = match.groups()
    degree = SCALES[mode][_NUMERALS.index(name.upper())] + {"b": -1, "#": 1, "": 0}[accidental]
    third = 4 if name.isupper() else 3
    fifth = 6 if suffix in ("o", "o7", "h7") else 7
    return Chord(tuple((tonic + degree + step) % 12 for step in (0, third, fifth, *_SUFFIXES[suffix])))


def phrase_numerals(rng: Generator, kind: str, mode: str, bars: int, *, closing: bool) -> list[str]:
    """Draws one numeral per bar for one phrase.

    Args:
        rng: source of the choices.
        kind: "pop", "rock", "classical", "jazz", "vamp" or "blues".
        mode: "major" or "minor".
        bars: number of bars.
        closing: whether the phrase ends at rest (on the tonic), if the kind has cadences.
    """
    if kind == "blues":
        return list(_BLUES[mode][:bars])
    if kind in ("jazz", "vamp") or (kind == "rock" and rng.random() < 0.6):
        pool = _POOLS[kind][mode]
        return _fit(list(pool[rng.integers(len(pool))]), bars)
    functions = _FUNCTIONS[mode]
    loop = _LOOPS[rng.integers(len(_LOOPS))]
    numerals = [functions[function][rng.integers(len(functions[function]))] for function in loop]
    numerals[0] = functions["T"][0]  # establishes the key at once
    numerals = _fit(numerals, bars)
    if kind == "classical":
        numerals[-2:] = ["V7", functions["T"][0]] if closing else [functions["S"][rng.integers(3)], "V"]
    return numerals


def _fit(numerals: list[str], bars: int) -> list[str]:
    return (numerals * -(-bars // len(numerals)))[:bars]


def voicing(chord: Chord, previous: tuple[int, ...] | None, centre: int, voices: int) -> tuple[int, ...]:
    """Voices a chord: ascending pitches in close position, as near as possible to the previous voicing.

    Args:
        chord: the chord to voice.
        previous: the previous voicing, or None at the beginning.
        centre: MIDI pitch that the voicing stays near.
        voices: number of pitches; if the chord has more, its fifth is left out first.
    """
    classes = list(chord.pitch_classes)
    while len(classes) > voices:
        classes.pop(2 if len(classes) > 3 else -1)
    candidates = []
    for lowest in range(centre - 10, centre + 5):
        if lowest % 12 in classes:
            candidates.append(_stack(lowest, classes, voices))
    target = previous or (centre,) * voices

    def distance(pitches: tuple[int, ...]) -> float:
        movement = sum(abs(pitch - before) for pitch, before in zip(pitches, target, strict=False))
        drift = abs(sum(pitches) / len(pitches) - centre)
        return movement + 0.5 * drift * len(pitches)

    return min(candidates, key=distance)


def _stack(lowest: int, classes: list[int], voices: int) -> tuple[int, ...]:
    pitches = [lowest]
    while len(pitches) < voices:
        pitches.append(next(pitch for pitch in range(pitches[-1] + 1, pitches[-1] + 13) if pitch % 12 in classes))
    return tuple(pitches)
