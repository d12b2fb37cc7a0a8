"""The specification of a piece, drawn before its notes: style, tempo, key, mood, players, and their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from training.data.captions import Description
from training.data.styles import (
    HELD_OUT_KEYS,
    HELD_OUT_STYLES,
    STYLES,
    Style,
)

TONICS = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"),
    "minor": ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"),
}
TEMPI = ("slow", "medium", "fast")

_TEST_STYLE_CHANCE = 0.15
_TEST_KEY_CHANCE = 0.15
_NO_MOOD_CHANCE = 0.2
_MAJOR_MOODS, _MINOR_MOODS = ("happy", "bright"), ("sad", "dark")
_UNFIT_MOODS = {"slow": ("energetic",), "medium": (), "fast": ("calm", "sad")}

_DENSITY = {"slow": (0.08, 0.26), "medium": (0.38, 0.55), "fast": (0.66, 0.88)}
_MOOD_DENSITY = {"calm": -0.08, "energetic": 0.12, "sad": -0.05}
_ENERGY = {None: 0.5, "calm": 0.12, "energetic": 0.95, "happy": 0.6, "sad": 0.3, "dark": 0.45, "bright": 0.65}
_PEAK = {"calm": 0.6, "energetic": 0.85, "sad": 0.7}
_REGISTER = {None: 0.45, "calm": 0.4, "energetic": 0.5, "happy": 0.7, "sad": 0.15, "dark": 0.0, "bright": 1.0}


@dataclass(frozen=True, slots=True)
class Spec:
    """The specification of a piece.

    Attributes:
        style: the style it is composed in.
        tempo_word: the third of the style's tempo range: "slow", "medium" or "fast".
        bpm: beats per minute.
        tonic: pitch class of the key, 0 is C.
        key: name of the key.
        mode: "major" or "minor".
        mood: a key of captions.MOOD_WORDS, or None.
        lead: instrument of the melody.
        comp: instrument of the accompaniment; None for a lead alone.
        pad: instrument that holds the chords in the background, or None.
        density: notes per beat on a scale of 0 … 1.
        energy: loudness, 0 … 1.
        register: height within the instruments' ranges, 0 … 1.
    """

    style: Style
    tempo_word: str
    bpm: float
    tonic: int
    key: str
    mode: str
    mood: str | None
    lead: str
    comp: str | None
    pad: str | None
    density: float
    energy: float
    register: float

    @property
    def peak(self) -> float:
        """The rendered clip's peak, 0 … 1."""
        return _PEAK.get(self.mood or "", 0.78)

    @property
    def instruments(self) -> tuple[str, ...]:
        """The pitched instruments, the lead first, each once."""
        bass = self.style.bass if self.style.basses else None
        named = (self.lead, self.comp, bass, self.pad)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def held_out(self) -> bool:
        """Whether training leaves out its style or its key."""
        return self.style.name in HELD_OUT_STYLES or (self.key, self.mode) in HELD_OUT_KEYS

    @property
    def description(self) -> Description:
        """The facts that captions may state."""
        return Description(
            self.style.subjects, self.tempo_word, self.mood, f"{self.key} {self.mode}", self.instruments,
            self.style.drums is not None, self.style.solo,
        )  # fmt: skip


def draw_spec(rng: Generator, split: str) -> Spec:
    """Draws a piece's specification; only the test split has held-out styles and keys."""
    style = _draw_style(rng, split)
    tempo_word = TEMPI[rng.integers(3)]
    mode, tonic = _draw_key(rng, split, style)
    mood = _draw_mood(rng, style, tempo_word, mode)
    lead = style.leads[rng.integers(len(style.leads))]
    comps = [name for name in style.comps if name != lead or len(style.comps) == 1] or [lead]
    low, high = _DENSITY[tempo_word]
    density = rng.uniform(low, high) + _MOOD_DENSITY.get(mood or "", 0.0)
    return Spec(
        style=style,
        tempo_word=tempo_word,
        bpm=_draw_bpm(rng, style, tempo_word),
        tonic=tonic,
        key=TONICS[mode][tonic],
        mode=mode,
        mood=mood,
        lead=lead,
        comp=comps[rng.integers(len(comps))] if style.figures else None,
        pad=style.pads[rng.integers(len(style.pads))] if style.pads else None,
        density=min(max(density, 0.0), 1.0),
        energy=min(max(_ENERGY[mood] + {"slow": -0.08, "medium": 0.0, "fast": 0.08}[tempo_word], 0.0), 1.0),
        register=_REGISTER[mood],
    )


def _draw_style(rng: Generator, split: str) -> Style:
    held_out = split == "test" and rng.random() < _TEST_STYLE_CHANCE
    styles = [style for style in STYLES.values() if (style.name in HELD_OUT_STYLES) == held_out]
    total = sum(style.weight for style in styles)
    return styles[rng.choice(len(styles), p=[style.weight / total for style in styles])]


def _draw_key(rng: Generator, split: str, style: Style) -> tuple[str, int]:
    held_out = split == "test" and rng.random() < _TEST_KEY_CHANCE
    mode = "minor" if rng.random() < style.minor else "major"
    tonics = [index for index, name in enumerate(TONICS[mode]) if ((name, mode) in HELD_OUT_KEYS) == held_out]
    return mode, tonics[rng.integers(len(tonics))]


def _draw_mood(rng: Generator, style: Style, tempo_word: str, mode: str) -> str | None:
    unfit = (*_UNFIT_MOODS[tempo_word], *(_MINOR_MOODS if mode == "major" else _MAJOR_MOODS))
    fitting = [mood for mood in style.moods if mood not in unfit]
    if not fitting or rng.random() < _NO_MOOD_CHANCE:
        return None
    return fitting[rng.integers(len(fitting))]


def _draw_bpm(rng: Generator, style: Style, tempo_word: str) -> float:
    low, high = style.bpm
    third = (high - low) / 3
    start = low + third * TEMPI.index(tempo_word)
    return round(float(rng.uniform(start + 0.1, start + third - 0.1)), 1)
