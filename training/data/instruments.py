"""The instruments of the pieces: their General MIDI programs, registers and volumes in a mix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument and how pieces use it.

    Attributes:
        program: General MIDI program, 0 … 127.
        low: lowest melody pitch that sounds well, MIDI note number.
        high: highest melody pitch that sounds well.
        volume: MIDI channel volume that balances it against the others as a lead.
        sustained: whether it can hold a note for any time (bowed, blown, sung), so that its melodies are legato.
    """

    program: int
    low: int
    high: int
    volume: int = 100
    sustained: bool = False


INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument(0, 60, 88, 110),
    "electric piano": Instrument(4, 60, 84, 110),
    "celesta": Instrument(8, 72, 96, 120),
    "music box": Instrument(10, 72, 96, 120),
    "vibraphone": Instrument(11, 60, 84, 120),
    "marimba": Instrument(12, 60, 84, 120),
    "hammond organ": Instrument(16, 60, 84, 90, sustained=True),
    "organ": Instrument(19, 60, 84, 100, sustained=True),
    "accordion": Instrument(21, 62, 86, 95, sustained=True),
    "harmonica": Instrument(22, 62, 84, 105, sustained=True),
    "acoustic guitar": Instrument(25, 57, 79, 115),
    "nylon guitar": Instrument(24, 57, 79, 115),
    "jazz guitar": Instrument(26, 57, 79, 115),
    "electric guitar": Instrument(27, 57, 81, 110),
    "muted guitar": Instrument(28, 52, 72, 110),
    "overdriven guitar": Instrument(29, 57, 81, 100, sustained=True),
    "distorted guitar": Instrument(30, 57, 81, 100, sustained=True),
    "upright bass": Instrument(32, 31, 50, 120),
    "bass": Instrument(33, 30, 48, 115),
    "slap bass": Instrument(36, 30, 48, 110),
    "synth bass": Instrument(38, 30, 48, 110),
    "violin": Instrument(40, 62, 90, 105, sustained=True),
    "cello": Instrument(42, 41, 64, 110, sustained=True),
    "harp": Instrument(46, 58, 86, 120),
    "strings": Instrument(48, 62, 86, 105, sustained=True),
    "choir": Instrument(52, 57, 79, 110, sustained=True),
    "trumpet": Instrument(56, 60, 80, 100, sustained=True),
    "trombone": Instrument(57, 46, 66, 100, sustained=True),
    "tuba": Instrument(58, 31, 50, 115, sustained=True),
    "french horn": Instrument(60, 50, 72, 105, sustained=True),
    "brass": Instrument(61, 55, 76, 95, sustained=True),
    "saxophone": Instrument(66, 54, 77, 105, sustained=True),
    "oboe": Instrument(68, 62, 84, 105, sustained=True),
    "clarinet": Instrument(71, 57, 82, 105, sustained=True),
    "flute": Instrument(73, 65, 91, 105, sustained=True),
    "synth lead": Instrument(81, 60, 82, 85, sustained=True),
    "synth": Instrument(80, 60, 82, 80, sustained=True),
    "synth pad": Instrument(89, 60, 80, 100, sustained=True),
    "banjo": Instrument(105, 57, 79, 110),
    "fiddle": Instrument(110, 62, 86, 105, sustained=True),
}
