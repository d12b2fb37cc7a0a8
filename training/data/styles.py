"""The styles that pieces are composed in: tempo, meter, harmony, figures, instruments, and words for them."""

from __future__ import annotations

from dataclasses import dataclass

HELD_OUT_STYLES = frozenset({"bossa nova", "march"})
HELD_OUT_KEYS = frozenset({("F#", "major"), ("Eb", "minor")})

_POP_MOODS = ("calm", "energetic", "happy", "sad", "bright")
_CLUB_MOODS = ("energetic", "dark", "happy", "bright")
_SOFT_MOODS = ("calm", "sad", "happy", "dark", "bright")
_ALL_MOODS = ("calm", "energetic", "happy", "sad", "dark", "bright")


@dataclass(frozen=True, slots=True)
class Style:
    """The rules for composing in a style.

    Attributes:
        name: label.
        weight: how often it is drawn, relative to the others.
        bpm: slowest and fastest tempo.
        harmony: kind of progression, see harmony.phrase_numerals.
        figures: accompaniments, see accompaniment.FIGURES; none for a lead alone.
        leads: instruments for the melody.
        comps: instruments for the accompaniment; empty: the lead's instrument.
        moods: moods that suit it.
        subjects: names in captions; the first is the most common.
        bass: instrument of the bass; None: the accompaniment's instrument.
        basses: bass figures, see accompaniment.BASSES; none: no bass.
        drums: name in drums.KITS; None: no drums.
        pads: instruments that hold the chords in the background, or none.
        beats: per bar.
        minor: probability of a minor key.
        swing: position of the off-beat within the beat: 0.5 even, 0.67 triplets.
        syncopation: of melodies, 0 … 1.
        busyness: added to the density of melodies.
        riff: whether the melody is one or two bars that repeat.
        solo: whether one instrument plays alone.
    """

    name: str
    weight: float
    bpm: tuple[float, float]
    harmony: str
    figures: tuple[str, ...]
    leads: tuple[str, ...]
    comps: tuple[str, ...]
    moods: tuple[str, ...]
    subjects: tuple[str, ...]
    bass: str | None = None
    basses: tuple[str, ...] = ()
    drums: str | None = None
    pads: tuple[str, ...] = ()
    beats: int = 4
    minor: float = 0.45
    swing: float = 0.5
    syncopation: float = 0.2
    busyness: float = 0.0
    riff: bool = False
    solo: bool = False


def _solo(
    name: str, instrument: str, weight: float, bpm: tuple[float, float], figures: tuple[str, ...], **more: object
) -> Style:
    words = (f"solo {instrument}", f"{instrument} solo", f"solo {instrument} piece", f"solo {instrument} music")
    return Style(name, weight, bpm, "classical", figures, (instrument,), (), _ALL_MOODS, words, solo=True, **more)  # type: ignore[arg-type]


_BAND = (
    Style("rock", 11.5, (70, 178), "rock", ("power",), ("distorted guitar", "overdriven guitar"), ("distorted guitar",),
          ("energetic", "happy", "sad", "dark"), ("rock", "rock song", "rock music", "rock track"),
          "bass", ("root",), "rock", syncopation=0.3),
    Style("blues", 3.5, (56, 150), "blues", ("comp", "block"), ("electric guitar", "harmonica", "hammond organ"),
          ("piano", "electric guitar"), ("calm", "sad", "energetic", "happy"),
          ("blues", "blues shuffle", "blues song", "blues music"),
          "bass", ("walking", "root"), "blues", minor=0.35, swing=0.66, syncopation=0.35),
    Style("jazz", 4.0, (66, 200), "jazz", ("comp",), ("saxophone", "trumpet", "vibraphone", "clarinet"),
          ("piano", "jazz guitar"), ("calm", "happy", "energetic", "bright"),
          ("jazz", "jazz tune", "swing jazz", "jazz music"),
          "upright bass", ("walking",), "jazz", minor=0.4, swing=0.65, syncopation=0.4),
    Style("funk", 3.5, (74, 130), "vamp", ("stabs",), ("brass", "electric guitar", "hammond organ"),
          ("muted guitar", "electric piano"), ("energetic", "happy", "bright"),
          ("funk", "funk groove", "funk track", "funky music"),
          "slap bass", ("syncopated",), "funk", syncopation=0.55, riff=True),
    Style("reggae", 3.5, (58, 150), "pop", ("off-beat",), ("hammond organ", "trumpet", "saxophone", "trombone"),
          ("electric guitar", "piano"), ("calm", "happy", "energetic", "bright"),
          ("reggae", "reggae song", "reggae music", "reggae track"),
          "bass", ("syncopated", "root"), "reggae", minor=0.35, syncopation=0.4),
    Style("disco", 3.5, (92, 148), "pop", ("stabs", "off-beat"), ("strings", "brass", "electric guitar"),
          ("electric piano", "electric guitar"), _CLUB_MOODS, ("disco", "disco track", "disco song", "disco music"),
          "bass", ("octave",), "disco", syncopation=0.35),
    Style("house", 3.5, (96, 142), "pop", ("stabs",), ("synth lead", "piano", "synth"), ("piano", "electric piano"),
          _CLUB_MOODS, ("house", "house track", "house music", "dance music"),
          "synth bass", ("syncopated", "octave"), "house", ("synth pad",), syncopation=0.45, riff=True),
    Style("techno", 3.5, (100, 168), "vamp", ("gate", "stabs"), ("synth lead", "synth"), ("synth",),
          ("energetic", "dark"), ("techno", "techno track", "techno music", "techno beat"),
          "synth bass", ("driving",), "techno", minor=0.8, syncopation=0.4, busyness=0.1, riff=True),
    Style("synthwave", 3.5, (70, 150), "pop", ("gate", "arpeggio"), ("synth lead", "synth"), ("synth",),
          ("calm", "dark", "energetic", "bright"), ("synthwave", "synthwave track", "retro synths", "synthwave music"),
          "synth bass", ("driving",), "synthwave", ("synth pad",), minor=0.6),
    Style("hip hop", 3.5, (62, 116), "vamp", ("comp", "block"), ("electric piano", "flute", "synth lead", "vibraphone"),
          ("electric piano", "piano"), ("calm", "dark", "energetic", "sad"),
          ("hip hop", "hip hop beat", "hip hop track", "rap beat"),
          "synth bass", ("syncopated",), "hip hop", minor=0.65, syncopation=0.4, riff=True),
    Style("pop", 4.0, (60, 140), "pop", ("block", "arpeggio"), ("electric guitar", "flute", "saxophone", "synth lead"),
          ("piano", "electric piano"), _POP_MOODS, ("pop", "pop song", "pop ballad", "pop music"),
          "bass", ("root",), "pop", ("strings",), minor=0.35, syncopation=0.3),
    Style("country", 3.5, (70, 164), "pop", ("back-beat", "strum"), ("fiddle", "banjo", "harmonica"),
          ("acoustic guitar",), _POP_MOODS, ("country", "country song", "country music", "country tune"),
          "bass", ("fifth",), "country", minor=0.2),
    Style("salsa", 3.5, (76, 180), "vamp", ("montuno",), ("trumpet", "brass", "flute"), ("piano",),
          ("energetic", "happy", "bright"), ("salsa", "latin music", "salsa track", "latin dance"),
          "upright bass", ("tumbao",), "salsa", syncopation=0.5),
    Style("bossa nova", 2.0, (64, 150), "jazz", ("comp",), ("flute", "saxophone", "vibraphone"), ("nylon guitar",),
          ("calm", "happy", "sad", "bright"), ("bossa nova", "bossa nova tune", "bossa nova song", "bossa nova music"),
          "upright bass", ("tumbao",), "bossa nova", syncopation=0.4),
    Style("march", 2.0, (70, 140), "classical", ("back-beat",), ("trumpet", "brass"), ("french horn", "trombone"),
          ("energetic", "happy", "bright"), ("march", "military march", "brass march", "marching band music"),
          "tuba", ("fifth",), "march", minor=0.2, syncopation=0.15),
)  # fmt: skip

_ENSEMBLE = (
    Style("strings", 11.5, (50, 150), "classical", ("chorale", "arpeggio", "block"), ("strings",), ("strings",),
          _ALL_MOODS, ("strings", "string ensemble", "string orchestra", "orchestral strings"),
          "strings", ("held", "root"), minor=0.5, solo=True),
    Style("orchestra", 3.5, (54, 150), "classical", ("chorale", "block"), ("oboe", "french horn", "flute", "trumpet"),
          ("strings",), _ALL_MOODS, ("orchestra", "orchestral piece", "classical orchestra", "orchestral music"),
          "cello", ("held", "root", "fifth")),
    Style("folk", 4.0, (66, 164), "pop", ("strum", "arpeggio"), ("fiddle", "flute", "accordion"), ("acoustic guitar",),
          _POP_MOODS, ("folk tune", "folk song", "folk music", "folk")),
    Style("waltz", 3.0, (76, 190), "classical", ("back-beat",), ("violin", "accordion", "clarinet", "flute"),
          ("piano", "accordion"), _SOFT_MOODS, ("waltz", "waltz tune", "waltz music", "dance waltz"),
          None, ("fifth",), beats=3),
    Style("ambient", 4.0, (44, 120), "pop", ("arpeggio", "pad"), ("electric piano", "flute", "vibraphone", "celesta"),
          ("synth pad",), ("calm", "dark", "sad", "bright"),
          ("ambient", "ambient music", "ambient pads", "ambient soundscape"),
          None, ("held",), pads=("synth pad",), busyness=-0.08),
    Style("lullaby", 3.0, (54, 132), "classical", ("alberti", "arpeggio"), ("music box", "celesta"), ("harp",),
          ("calm", "happy", "sad", "bright"), ("lullaby", "lullaby melody", "cradle song", "lullaby music"),
          minor=0.3, beats=3),
    Style("hymn", 3.0, (50, 126), "classical", ("chorale",), ("choir",), ("organ",), ("calm", "happy", "sad", "dark"),
          ("hymn", "church hymn", "choir hymn", "choral music"), None, ("held", "root"), busyness=-0.1),
)  # fmt: skip

_SOLO = (
    _solo(
        "solo piano", "piano", 11.5, (50, 170), ("alberti", "arpeggio", "block", "back-beat"), basses=("held", "fifth")
    ),
    _solo("solo acoustic guitar", "acoustic guitar", 4.5, (56, 156), ("arpeggio", "strum"), basses=("held", "fifth")),
    _solo("solo violin", "violin", 2.5, (54, 160), (), busyness=0.1),
    _solo("solo cello", "cello", 2.5, (50, 150), (), busyness=0.1),
    _solo("solo flute", "flute", 2.5, (54, 160), (), busyness=0.1),
    _solo("solo organ", "organ", 3.0, (50, 140), ("chorale", "arpeggio", "alberti"), basses=("held", "root")),
    _solo("solo harp", "harp", 3.0, (54, 150), ("arpeggio",), basses=("held",)),
)

STYLES: dict[str, Style] = {style.name: style for style in (*_BAND, *_ENSEMBLE, *_SOLO)}
