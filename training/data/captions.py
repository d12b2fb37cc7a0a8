"""Captions of a piece as people would type them: a caption and paraphrases that say only what the notes do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

TEMPO_WORDS: dict[str, tuple[str, ...]] = {
    "slow": ("slow", "slow", "slow", "relaxed", "slow-paced"),
    "medium": ("medium tempo", "mid-tempo", "moderate"),
    "fast": ("fast", "fast", "fast", "quick", "up-tempo"),
}
MOOD_WORDS: dict[str, tuple[str, ...]] = {
    "calm": ("calm", "calm", "calm", "peaceful", "gentle"),
    "energetic": ("energetic", "energetic", "energetic", "lively", "powerful"),
    "happy": ("happy", "happy", "happy", "cheerful", "joyful"),
    "sad": ("sad", "sad", "sad", "melancholic", "mournful"),
    "dark": ("dark", "dark", "dark", "gloomy"),
    "bright": ("bright", "bright", "bright", "sunny"),
}
_WITHOUT_DRUMS = ("no drums", "without drums")


@dataclass(frozen=True, slots=True)
class Description:
    """The facts about a piece that its captions may state.

    Attributes:
        subjects: names for its style.
        tempo_word: "slow", "medium" or "fast".
        mood: a key of MOOD_WORDS, or None.
        key: key and mode, such as "C major".
        instruments: the pitched ones, the lead first.
        drums: whether the piece has drums.
        solo: whether one instrument plays alone; the subject names it already.
    """

    subjects: tuple[str, ...]
    tempo_word: str
    mood: str | None
    key: str
    instruments: tuple[str, ...]
    drums: bool
    solo: bool


def captions(rng: Generator, piece: Description) -> tuple[str, ...]:
    """Returns three to five different captions: a full one, one with little more than the style's name, and others."""
    found = [_sentence(rng, piece, tempo=0.9, mood=0.95, players=0.8, key=0.55)]
    for _ in range(int(rng.integers(2, 4))):
        found.append(_sentence(rng, piece, tempo=0.6, mood=0.65, players=0.5, key=0.5))
    found.append(_sentence(rng, piece, tempo=0.25, mood=0.3, players=0.1, key=0.35))
    distinct = list(dict.fromkeys(found))
    while len(distinct) < 3:
        caption = _sentence(rng, piece, tempo=0.5, mood=0.5, players=0.5, key=0.5)
        distinct += [caption] if caption not in distinct else []
    return tuple(distinct)


def _sentence(rng: Generator, piece: Description, *, tempo: float, mood: float, players: float, key: float) -> str:
    """Returns one caption; the numbers are the probabilities that it mentions each fact."""
    medium = 0.4 if piece.tempo_word == "medium" else 1.0
    words = []
    if rng.random() < tempo * medium:
        words.append(_pick(rng, TEMPO_WORDS[piece.tempo_word]))
    if piece.mood is not None and rng.random() < mood:
        words.append(_pick(rng, MOOD_WORDS[piece.mood]))
    if rng.random() < 0.25:
        words.reverse()
    subject = piece.subjects[0] if rng.random() < 0.5 else _pick(rng, piece.subjects)
    details = _players(rng, piece) if rng.random() < players else []
    named_key = piece.key if rng.random() < key else None
    form = rng.random()
    if form < 0.15:
        return ", ".join([subject, *words, *details, *([named_key] if named_key else [])])
    if form < 0.25 and details and not details[0].startswith(("no ", "without ")):
        start = " and ".join([", ".join(details[:-1]), details[-1]]) if len(details) > 1 else details[0]
        return " ".join([*words, subject, "played on" if len(details) == 1 else "played by", start]) + _in(named_key)
    opening = " ".join([*words, subject])
    if form < 0.5:
        opening = ("an " if opening[0] in "aeiou" else "a ") + opening if _countable(subject) else opening
    if details and details[0].startswith(("no ", "without ")):
        return f"{opening}{_in(named_key)}{', ' if details[0][0] == 'n' else ' '}{details[0]}"
    return f"{opening}{' with ' + _listed(details) if details else ''}{_in(named_key)}"


def _players(rng: Generator, piece: Description) -> list[str]:
    """Returns the named players: one instrument or more, possibly drums, or a note that there are no drums."""
    if not piece.drums and rng.random() < (0.2 if piece.solo else 0.25):
        return [_pick(rng, _WITHOUT_DRUMS)]
    if piece.solo:
        return []
    count = int(rng.integers(1, min(len(piece.instruments), 3) + 1))
    named = list(piece.instruments[:count])
    if piece.drums and rng.random() < 0.7:
        named.insert(int(rng.integers(len(named) + 1)), "drums")
    return named


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _in(key: str | None) -> str:
    return f" in {key}" if key else ""


def _countable(subject: str) -> bool:
    endings = (
        "song",
        "track",
        "tune",
        "piece",
        "solo",
        "waltz",
        "lullaby",
        "hymn",
        "march",
        "beat",
        "groove",
        "ballad",
    )
    return subject.endswith((*endings, "ensemble", "orchestra", "shuffle", "melody"))


def _pick(rng: Generator, options: Sequence[str]) -> str:
    return options[rng.integers(len(options))]
