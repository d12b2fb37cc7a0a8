"""Building blocks of procedural sounds: shaped noise, tones, struck bodies, events in time, rooms.

All signals are float64 at 16 kHz. All randomness comes from a `Draw`, so that one seed gives one sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000
HELD_OUT = ((0.15, 0.2), (0.5, 0.55), (0.8, 0.85))

_FRAME = 1024
_HOP = _FRAME // 2
_FREQUENCIES = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE)

Signal: TypeAlias = NDArray[np.float64]
Spectrum: TypeAlias = Callable[[Signal], Signal]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rendering:
    """A sound and the words for it.

    Attributes:
        waveform: [samples], at any level.
        phrases: ways to describe the sound; the first is complete.
        modifiers: qualities of the sound, each a word of the first phrase.
    """

    waveform: Signal
    phrases: tuple[str, ...]
    modifiers: tuple[str, ...] = ()


class Draw:
    """Draws random parameters; some ranges are reserved for one split.

    Args:
        rng: source of all randomness.
        held_out: whether dials come only from the `HELD_OUT` ranges; otherwise they come only from all other ranges.
    """

    def __init__(self, rng: np.random.Generator, *, held_out: bool) -> None:
        self.rng = rng
        self._held_out = held_out

    def dial(self) -> float:
        """Draws a sound's main parameter (its speed, weight or pitch), 0 … 1."""
        while True:
            value = self.rng.random()
            if any(low <= value < high for low, high in HELD_OUT) == self._held_out:
                return value

    def between(self, low: float, high: float) -> float:
        """Draws a value from low to high."""
        return self.rng.uniform(low, high)

    def log_between(self, low: float, high: float) -> float:
        """Draws a value from low to high on a logarithmic scale, as for frequencies and times."""
        return scaled(self.rng.random(), low, high)

    def chance(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return self.rng.random() < probability

    def choose(self, choices: Sequence[T]) -> T:
        """Draws one of the choices."""
        return choices[int(self.rng.integers(len(choices)))]


def scaled(dial: float, low: float, high: float) -> float:
    """Maps a dial to a logarithmic scale from low to high."""
    return float(low * (high / low) ** dial)


def word(dial: float, low: str, high: str) -> str:
    """Returns the word for a dial's lower or upper third; empty for its middle."""
    return low if dial < 1 / 3 else high if dial > 2 / 3 else ""


def phrases(*templates: str) -> tuple[str, ...]:
    """Cleans up phrases: no double spaces where words are empty, no duplicates, "an" before vowels."""
    tidy = (re.sub(r"\ba (?=[aeiou])", "an ", " ".join(template.split())) for template in templates)
    return tuple(dict.fromkeys(tidy))


def words(*given: str) -> tuple[str, ...]:
    """Returns the words that are not empty."""
    return tuple(one for one in given if one)


def band(low: float, high: float, order: float = 4.0) -> Spectrum:
    """Returns the gain of a band-pass from low to high Hz, which falls by `6 * order` dB per octave outside."""

    def gain(frequencies: Signal) -> Signal:
        f = np.maximum(frequencies, 1.0)
        passed: Signal = 1 / np.sqrt((1 + (low / f) ** (2 * order)) * (1 + (f / high) ** (2 * order)))
        return passed

    return gain


def noise(draw: Draw, samples: int, spectrum: Spectrum) -> Signal:
    """Makes Gaussian noise [samples] with a spectrum and an RMS of 1; it loops seamlessly."""
    white = np.fft.rfft(draw.rng.standard_normal(samples))
    shaped = np.fft.irfft(white * spectrum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)), samples)
    return level(shaped)


def moving_noise(draw: Draw, samples: int, gain: Callable[[Signal, Signal], Signal]) -> Signal:
    """Makes noise [samples] with a moving spectrum.

    Args:
        draw: source of randomness.
        samples: length.
        gain: (times [frames, 1] in seconds, frequencies [1, bins] in Hz) to gains [frames, bins].
    """
    frames = -(-samples // _HOP) + 1
    frames += frames % 2
    times = (np.arange(frames)[:, None] * _HOP) / SAMPLE_RATE
    bins = draw.rng.standard_normal((frames, _FREQUENCIES.size, 2)).view(np.complex128)[..., 0]
    pieces = np.fft.irfft(bins * gain(times, _FREQUENCIES[None]), _FRAME) * np.sin(
        np.pi * (np.arange(_FRAME) + 0.5) / _FRAME
    )
    total = np.zeros((frames + 1) * _HOP)
    total[:-_HOP] += pieces[0::2].reshape(-1)
    total[_HOP:] += pieces[1::2].reshape(-1)
    return level(total[_HOP : _HOP + samples])


def curve(draw: Draw, samples: int, rate: float, low: float, high: float) -> Signal:
    """Makes a smooth random curve [samples] between low and high that turns about `rate` times per second."""
    points = max(4, int(samples / SAMPLE_RATE * rate * 2) + 3)
    coarse = np.interp(np.linspace(0, points - 1, points * 8), np.arange(points), draw.rng.random(points))
    smooth = np.convolve(np.pad(coarse, 6, mode="edge"), np.hanning(15)[1:-1] / np.hanning(15).sum(), mode="valid")
    stretched: Signal = np.interp(np.linspace(0, smooth.size - 1, samples), np.arange(smooth.size), smooth)
    return low + (high - low) * stretched


def seconds(samples: int) -> Signal:
    """Returns the time of each sample in seconds, [samples]."""
    return np.arange(samples) / SAMPLE_RATE


def length(duration: float) -> int:
    """Returns the number of samples of a duration in seconds, at least one."""
    return max(1, round(duration * SAMPLE_RATE))


def phase(frequency: Signal) -> Signal:
    """Returns the phase in radians [samples] of an oscillator with the given moving frequency in Hz."""
    turned: Signal = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    return turned


def tone(frequency: Signal, harmonics: Sequence[float] = (1.0,)) -> Signal:
    """Makes a tone of moving frequency with the given amplitudes of harmonics; leaves out harmonics above 7.5 kHz."""
    base = phase(frequency)
    total = np.zeros_like(base)
    for number, amplitude in enumerate(harmonics, start=1):
        if amplitude and number * float(frequency.max()) < 7500:
            total += amplitude * np.sin(number * base)
    return total


def steady(frequency: float, samples: int, harmonics: Sequence[float] = (1.0,)) -> Signal:
    """Makes a tone of constant frequency."""
    return tone(np.full(samples, frequency), harmonics)


def burst(duration: float, attack: float = 0.005, release: float = 0.01) -> Signal:
    """Makes an envelope that is on for a duration, with soft edges."""
    at = seconds(length(duration))
    return np.clip(np.minimum(at / attack, (duration - at) / release), 0, 1)


def strike(frequencies: Sequence[float], decays: Sequence[float], gains: Sequence[float], duration: float) -> Signal:
    """Makes the sound of a struck body: one decaying sine per mode (modal synthesis)."""
    at = seconds(length(duration))
    total = np.zeros_like(at)
    for frequency, decay, gain in zip(frequencies, decays, gains, strict=True):
        if frequency < 7500:
            total += gain * np.exp(-at / decay) * np.sin(2 * np.pi * frequency * at)
    edges: Signal = np.minimum(1, at / 0.001) * np.minimum(1, (duration - at) / (0.2 * duration))
    return total * edges


def click(draw: Draw, duration: float, spectrum: Spectrum) -> Signal:
    """Makes a decaying burst of shaped noise."""
    samples = length(duration)
    envelope: Signal = np.exp(-5 * np.arange(samples) / samples)
    return noise(draw, max(samples, 16), spectrum)[:samples] * envelope


def place(samples: int, times: Sequence[float], make: Callable[[int], Signal]) -> Signal:
    """Places events in [samples]: `make(n)` makes the n-th, which begins at times[n] seconds; the end cuts them off."""
    total = np.zeros(samples)
    for number, time in enumerate(times):
        start = round(time * SAMPLE_RATE)
        if start < samples:
            event = make(number)[: samples - start]
            total[start : start + event.size] += event
    return total


def same(event: Signal) -> Callable[[int], Signal]:
    """Returns a `make` for `place` that gives the same event every time."""
    return lambda _: event


def scatter(draw: Draw, samples: int, rate: float, kernel: Signal, spread: float = 0.7) -> Signal:
    """Scatters very many equal events at random times, `rate` per second, with log-normal gains."""
    count = max(1, int(draw.rng.poisson(rate * samples / SAMPLE_RATE)))
    impulses = np.zeros(samples)
    gains = draw.rng.lognormal(0, spread, count) * draw.rng.choice([-1.0, 1.0], count)
    np.add.at(impulses, draw.rng.integers(samples, size=count), gains)
    return np.fft.irfft(np.fft.rfft(impulses) * np.fft.rfft(kernel, samples), samples)


def beats(draw: Draw, samples: int, interval: float, jitter: float = 0.0) -> list[float]:
    """Returns times in seconds, one per interval, each displaced by up to `jitter` of the interval."""
    duration = samples / SAMPLE_RATE
    count = int(duration / interval) + 1
    start = draw.between(0, min(interval, 0.6))
    offsets = draw.rng.uniform(-jitter, jitter, count) * interval
    return [max(0.0, start + n * interval + float(offsets[n])) for n in range(count)]


def room(draw: Draw, waveform: Signal, decay: float, wet: float) -> Signal:
    """Adds the reverberation of a room: convolves with noise that decays by 60 dB in `decay` seconds."""
    tail = length(decay)
    size = waveform.size + tail
    answer = draw.rng.standard_normal(tail) * np.exp(-6.9 * np.arange(tail) / tail)
    answer[0] = 0
    spectrum = np.fft.rfft(answer / np.sqrt(np.sum(answer**2)), size) * band(100, 4000, 1)(
        np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    )
    wetted: Signal = np.fft.irfft(np.fft.rfft(waveform, size) * (1 + wet * spectrum), size)[: waveform.size]
    return wetted


def level(waveform: Signal) -> Signal:
    """Scales a waveform to an RMS of 1; silence stays silent."""
    power = float(np.sqrt(np.mean(waveform**2)))
    return waveform / power if power > 0 else waveform
