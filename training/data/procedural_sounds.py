"""The table of procedural sounds: the function, frequency and combinations of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.data import (
    animal_sounds,
    machine_sounds,
    natural_sounds,
    percussion_sounds,
    signal_sounds,
)
from training.data.synthesis import Draw, Rendering


@dataclass(frozen=True, slots=True)
class ProceduralSound:
    """One kind of sound.

    Attributes:
        render: (parameters, number of samples) to a waveform and words for it.
        background: whether it continues without a break, so that another sound can be laid over it.
        weight: how often it is drawn; 1 for most.
        far: whether it is also rendered at a distance.
    """

    render: Callable[[Draw, int], Rendering]
    background: bool = False
    weight: float = 1.0
    far: bool = False


PROCEDURAL_SOUNDS: dict[str, ProceduralSound] = {
    "rain": ProceduralSound(natural_sounds.rain, background=True, weight=6),
    "wind": ProceduralSound(natural_sounds.wind, background=True, weight=2),
    "ocean": ProceduralSound(natural_sounds.ocean, background=True, weight=1.5, far=True),
    "thunder": ProceduralSound(natural_sounds.thunder, weight=1.5),
    "fire": ProceduralSound(natural_sounds.fire, background=True, weight=1.5),
    "stream": ProceduralSound(natural_sounds.stream, background=True),
    "bubbles": ProceduralSound(natural_sounds.bubbles),
    "dripping": ProceduralSound(natural_sounds.dripping),
    "birds": ProceduralSound(animal_sounds.birds, weight=1.5, far=True),
    "crickets": ProceduralSound(animal_sounds.crickets, background=True),
    "owl": ProceduralSound(animal_sounds.owl, far=True),
    "beep": ProceduralSound(signal_sounds.beep, weight=1.5),
    "alarm_clock": ProceduralSound(signal_sounds.alarm_clock),
    "alarm": ProceduralSound(signal_sounds.alarm, far=True),
    "siren": ProceduralSound(signal_sounds.siren, weight=2, far=True),
    "phone": ProceduralSound(signal_sounds.phone),
    "sweep": ProceduralSound(signal_sounds.sweep),
    "dial_tone": ProceduralSound(signal_sounds.dial_tone),
    "bell": ProceduralSound(percussion_sounds.bell),
    "church_bell": ProceduralSound(percussion_sounds.church_bell, far=True),
    "whistle": ProceduralSound(signal_sounds.whistle),
    "horn": ProceduralSound(signal_sounds.horn, far=True),
    "game_coin": ProceduralSound(signal_sounds.game_coin, weight=0.5),
    "laser": ProceduralSound(signal_sounds.laser),
    "sonar": ProceduralSound(signal_sounds.sonar, weight=0.5),
    "static": ProceduralSound(signal_sounds.static, background=True),
    "engine": ProceduralSound(machine_sounds.engine, background=True, weight=1.5, far=True),
    "helicopter": ProceduralSound(machine_sounds.helicopter, background=True, far=True),
    "train": ProceduralSound(machine_sounds.train, background=True, far=True),
    "explosion": ProceduralSound(machine_sounds.explosion, far=True),
    "hum": ProceduralSound(machine_sounds.hum, background=True),
    "vacuum_cleaner": ProceduralSound(machine_sounds.vacuum_cleaner, background=True),
    "machine_gun": ProceduralSound(machine_sounds.machine_gun, weight=0.5, far=True),
    "typing": ProceduralSound(machine_sounds.typing),
    "clock": ProceduralSound(machine_sounds.clock),
    "knocking": ProceduralSound(machine_sounds.knocking),
    "footsteps": ProceduralSound(machine_sounds.footsteps, weight=1.5),
    "kick": ProceduralSound(percussion_sounds.kick),
    "snare": ProceduralSound(percussion_sounds.snare),
    "hi_hat": ProceduralSound(percussion_sounds.hi_hat),
    "drum_loop": ProceduralSound(percussion_sounds.drum_loop, weight=1.5),
    "applause": ProceduralSound(percussion_sounds.applause, background=True),
    "heartbeat": ProceduralSound(percussion_sounds.heartbeat),
}

# Pairs of backgrounds that occur together in nature.
NATURAL_PAIRS = (("rain", "wind"), ("ocean", "wind"), ("fire", "wind"), ("stream", "crickets"), ("fire", "crickets"))
