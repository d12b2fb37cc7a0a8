"""MIDI to audio with FluidSynth (LGPL-2.1, through pyfluidsynth) and one General MIDI soundfont per process."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import mido
import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest

SAMPLE_RATE = 32000
DEFAULT_SOUNDFONT = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")
SOUNDFONT_VARIABLE = "AUDIOCRAFT_SOUNDFONT"
LIBRARY_VARIABLE = "AUDIOCRAFT_FLUIDSYNTH"
_LIBRARY = "libfluidsynth.so.3"

_CHANNELS = 16
_GAIN = 0.4
_WARNING = 2  # FluidSynth's log level
_SETTINGS = {
    "synth.reverb.active": 1,
    "synth.reverb.room-size": 0.35,
    "synth.reverb.damp": 0.3,
    "synth.reverb.width": 0.5,
    "synth.reverb.level": 0.35,
    "synth.chorus.active": 0,
    "synth.polyphony": 128,
    "synth.cpu-cores": 1,
}


def soundfont_path(soundfont: Path | None = None) -> Path:
    """Returns the given soundfont, else that of AUDIOCRAFT_SOUNDFONT, else Debian's FluidR3Mono.

    Raises:
        InvalidRequest: the file doesn't exist.
    """
    path = soundfont or Path(os.environ.get(SOUNDFONT_VARIABLE, DEFAULT_SOUNDFONT))
    if not path.is_file():
        raise InvalidRequest(
            "soundfont", str(path), f"is not a file: install fluidr3mono-gm-soundfont or set {SOUNDFONT_VARIABLE}"
        )
    return path


def _import_fluidsynth() -> Any:
    """Imports pyfluidsynth, bound to the library that the dynamic loader finds.

    Its own search uses ldconfig and a compiler, which miss a library that only LD_LIBRARY_PATH names.
    """
    search = ctypes.util.find_library
    library = os.environ.get(LIBRARY_VARIABLE, _LIBRARY)
    ctypes.util.find_library = lambda name: library  # noqa: ARG005  (ctypes's parameter name)
    try:
        import fluidsynth
    except OSError as error:
        raise InvalidRequest("fluidsynth", library, f"can't be loaded: {error}") from error
    finally:
        ctypes.util.find_library = search
    return fluidsynth


class Synthesizer:
    """Renders MIDI files one after another; loads the soundfont, which takes seconds, only once.

    Each clip gets a new synthesizer that borrows the loaded font, so that no state (voices, controllers, reverb, the
    position within a block) carries over to the next clip: the same file gives the same samples in any order.

    Raises:
        InvalidRequest: the library or the soundfont can't be loaded.
    """

    def __init__(self, soundfont: Path | None = None) -> None:
        path = soundfont_path(soundfont)
        self._fluidsynth = _import_fluidsynth()
        bind = self._fluidsynth.cfunc
        synth, font = ("synth", ctypes.c_void_p, 1), ("font", ctypes.c_void_p, 1)
        # The binding lacks these functions: sharing a font between synthesizers, and samples as floats (16-bit samples
        # carry dither whose phase depends on what was rendered before).
        self._add_font = bind("fluid_synth_add_sfont", ctypes.c_int, synth, font)
        self._remove_font = bind("fluid_synth_remove_sfont", ctypes.c_int, synth, font)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._write = bind(
            "fluid_synth_write_float", number, synth, ("frames", number, 1),
            ("left", pointer, 1), ("left_offset", number, 1), ("left_step", number, 1),
            ("right", pointer, 1), ("right_offset", number, 1), ("right_step", number, 1),
        )  # fmt: skip
        # Until a synthesizer has borrowed the font, it warns about each channel's missing instrument.
        callback, data = ("callback", pointer, 1), ("data", pointer, 1)
        bind("fluid_set_log_function", pointer, ("level", number, 1), callback, data)(_WARNING, None, None)
        self._owner = self._new_synth()
        identifier = self._owner.sfload(str(path))
        if identifier < 0:
            self._owner.delete()
            raise InvalidRequest("soundfont", str(path), "is not a soundfont that FluidSynth can load")
        self._font = self._fluidsynth.fluid_synth_get_sfont_by_id(self._owner.synth, identifier)

    def __enter__(self) -> Synthesizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the font."""
        self._owner.delete()

    def render(self, midi: mido.MidiFile, seconds: float) -> NDArray[np.float32]:
        """Renders the first seconds of a MIDI file; pads a shorter one with silence.

        Returns:
            float32 [samples] at SAMPLE_RATE, both stereo channels averaged, at the synthesizer's own level.
        """
        stereo = np.zeros((round(seconds * SAMPLE_RATE), 2), dtype=np.float32)
        synth = self._new_synth()
        self._add_font(synth.synth, self._font)
        try:
            synth.program_reset()
            self._play(synth, midi, stereo)
        finally:
            self._remove_font(synth.synth, self._font)
            synth.delete()
        mono: NDArray[np.float32] = stereo.mean(axis=1, dtype=np.float32)
        return mono

    def _new_synth(self) -> Any:
        return self._fluidsynth.Synth(gain=_GAIN, samplerate=SAMPLE_RATE, channels=_CHANNELS, **_SETTINGS)

    def _play(self, synth: Any, midi: mido.MidiFile, stereo: NDArray[np.float32]) -> None:
        """Fills `stereo`, float32 [samples, 2], passing each MIDI message at its sample."""
        done, time = 0, 0.0
        for message in midi:
            time += message.time
            due = min(round(time * SAMPLE_RATE), len(stereo))
            self._write_samples(synth, stereo[done:due])
            done = due
            if done == len(stereo):
                return
            _send(synth, message)
        self._write_samples(synth, stereo[done:])

    def _write_samples(self, synth: Any, stereo: NDArray[np.float32]) -> None:
        if len(stereo):
            address = stereo.ctypes.data
            self._write(synth.synth, len(stereo), address, 0, 2, address, 1, 2)


def _send(synth: Any, message: mido.Message) -> None:
    if message.type == "note_on" and message.velocity > 0:
        synth.noteon(message.channel, message.note, message.velocity)
    elif message.type in ("note_on", "note_off"):
        synth.noteoff(message.channel, message.note)
    elif message.type == "program_change":
        synth.program_change(message.channel, message.program)
    elif message.type == "control_change":
        synth.cc(message.channel, message.control, message.value)
