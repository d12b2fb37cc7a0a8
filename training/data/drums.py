"""Drum patterns: each style and drum has a probability at every sixteenth, from which each piece draws its bars."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from training.data.notes import Note

GRID = 4  # positions per beat

KICK, RIM, SNARE, CLAP, CLOSED_HAT, OPEN_HAT, CRASH, RIDE = 36, 37, 38, 39, 42, 46, 49, 51
TAMBOURINE, COWBELL, HIGH_CONGA, LOW_CONGA, SHAKER, CLAVES = 54, 56, 63, 64, 70, 75
_TOMS = (50, 48, 47, 45, 43)
_ACCENTS = {
    KICK: 1.0, RIM: 1.0, SNARE: 1.0, CLAP: 0.95, CRASH: 0.9, CLOSED_HAT: 0.95, OPEN_HAT: 0.85, SHAKER: 0.95, RIDE: 0.95,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kit:
    """The drum pattern of a style.

    Attributes:
        chances: for each drum, one digit per sixteenth of the bar: 9 always, 0 or "." never, 1 … 8 sometimes.
        time: the additional drum that keeps time (hi-hat, ride, shaker), or None.
        off_beat: whether the drum that keeps time plays only between the beats.
        fills: probability of a fill at the end of every fourth bar.
    """

    chances: dict[int, str]
    time: int | None = CLOSED_HAT
    off_beat: bool = False
    fills: float = 0.8


KITS: dict[str, Kit] = {
    "rock": Kit({KICK: "9.1.2.1.9.5.1.3.", SNARE: "....9..1....9..2"}),
    "blues": Kit({KICK: "9.....2.9...2.5.", SNARE: "....9.......9.1."}, RIDE, fills=0.6),
    "jazz": Kit({KICK: "3.....2.2.....3.", RIM: "....2.1.......31", OPEN_HAT: "....9.......9..."}, RIDE, fills=0.4),
    "funk": Kit({KICK: "9.15..3.15.62.3.", SNARE: "....9..4.4..9..3", OPEN_HAT: "..............3."}, fills=0.7),
    "reggae": Kit({KICK: "........9.......", RIM: "........9....2.2", SNARE: "........9.....1."}, fills=0.5),
    "disco": Kit({KICK: "9...9...9...9...", SNARE: "....9.......9...", OPEN_HAT: "..9...9...9...9."}, fills=0.6),
    "house": Kit({KICK: "9...9...9...9...", CLAP: "....9.......9...", SHAKER: "2424242424242424"}, OPEN_HAT, True, 0.3),
    "techno": Kit(
        {KICK: "9...9...9...9...", CLAP: "....5.......5...", COWBELL: "..1..2.1..1..2.1"}, off_beat=True, fills=0.2
    ),
    "synthwave": Kit({KICK: "9.......9...2...", SNARE: "....9.......9...", TAMBOURINE: "......2.......2."}, fills=0.7),
    "hip hop": Kit({KICK: "9.12..2.137..2.1", SNARE: "....9.......9...", OPEN_HAT: "..............2."}, fills=0.3),
    "pop": Kit({KICK: "9.....3.7.3...2.", SNARE: "....9.......9..."}, fills=0.6),
    "country": Kit({KICK: "9...1...9...1...", SNARE: "....9..2....9.2.", TAMBOURINE: "..2...2...2...2."}, fills=0.5),
    "salsa": Kit(
        {KICK: "9.....5.....4...", COWBELL: "9...9.6.9...9.6.",
         HIGH_CONGA: "..3.9...3.9.....", LOW_CONGA: "............9.9."},
        SHAKER,
        fills=0.4,
    ),
    "bossa nova": Kit({KICK: "9.....9.9.....9.", RIM: "9..9...4..9..9.."}, CLOSED_HAT, fills=0.1),
    "march": Kit({KICK: "9.......9.......", SNARE: "9.529.449.529.66"}, None, fills=0.9),
}  # fmt: skip


def draw_bar(rng: Generator, kit: Kit, density: float) -> list[tuple[int, int, float]]:
    """Draws a bar of four beats in a kit's style: (grid position, drum, accent 0 … 1) for each stroke.

    Args:
        rng: source of the choices.
        kit: the style's probabilities.
        density: 0 … 1; a higher density subdivides the beat further.
    """
    strokes = [
        (position, drum, _ACCENTS.get(drum, 0.8))
        for drum, chances in kit.chances.items()
        for position, digit in enumerate(chances)
        if digit != "." and 9 * rng.random() < int(digit)
    ]
    return strokes + _time_keeping(rng, kit, density)


def _time_keeping(rng: Generator, kit: Kit, density: float) -> list[tuple[int, int, float]]:
    if kit.time is None:
        return []
    accent = _ACCENTS.get(kit.time, 0.7)
    if kit.off_beat:
        strokes = [(position, kit.time, accent) for position in range(2, 16, 4)]
        between = [(position, CLOSED_HAT, accent * 0.8) for position in range(16) if position % 4 != 2]
        return strokes + (between if density > 0.6 else [])
    if kit.time == RIDE:  # the swing pattern: every beat, and the off-beats after the second and the fourth
        skips = [
            position
            for position in (6, 14, 2, 10)
            if rng.random() < (0.2 + density if position % 8 == 6 else density - 0.5)
        ]
        return [(position, RIDE, accent) for position in [0, 4, 8, 12, *skips]]
    step = 4 if density < 0.25 else 2 if density < 0.8 else 1
    return [(position, kit.time, accent * (1 if position % 4 == 0 else 0.8)) for position in range(0, 16, step)]


def draw_fill(rng: Generator, density: float) -> list[tuple[int, int, float]]:
    """Draws a fill for the last beat or two of a bar, down from the snare over the toms."""
    start = int(rng.choice([8, 12, 12]))
    step = 1 if density > 0.5 else 2
    drums = sorted(rng.choice([SNARE, *_TOMS], size=4), key=[SNARE, *_TOMS].index)
    positions = [position for position in range(start, 16, step) if position % 4 == 0 or rng.random() < 0.85]
    return [
        (position, int(drums[4 * index // len(positions)]), 0.75 + 0.25 * index / len(positions))
        for index, position in enumerate(positions)
    ]


def play(rng: Generator, kit: Kit, levels: list[float], beats: int, density: float, velocity: float) -> list[Note]:
    """Plays a whole drum part.

    Args:
        rng: source of the choices.
        kit: the style's probabilities.
        levels: loudness of each bar, around 1.
        beats: per bar; a bar of three plays the first three quarters of the pattern.
        density: 0 … 1.
        velocity: MIDI velocity of an accented stroke.
    """
    patterns = [draw_bar(rng, kit, density) for _ in range(2)]
    notes = []
    for bar, level in enumerate(levels):
        strokes = patterns[1 if bar % 4 == 3 else 0]
        if bar % 4 == 3 and rng.random() < kit.fills:
            fill = draw_fill(rng, density)
            strokes = [stroke for stroke in strokes if stroke[0] < fill[0][0]] + fill
        if bar % 8 == 0 and kit.fills >= 0.6:
            strokes = [*strokes, (0, CRASH, _ACCENTS[CRASH])]
        notes += [
            Note(bar * beats + position / GRID, 0.2, drum, max(1, min(127, round(velocity * accent * level))))
            for position, drum, accent in strokes
            if position < beats * GRID
        ]
    return notes
