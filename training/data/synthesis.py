"""Building blocks of procedural sounds: shaped noise, tones, struck bodies, events in time, rooms.

All at 16 kHz in float64. Everything random comes from a `Draw`, so that one seed gives one sound.
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
        waveform: [samples], of any level.
        phrases: what people may call it; the first is complete.
        modifiers: how it is, each a word of the first phrase.
    """

    waveform: Signal
    phrases: tuple[str, ...]
    modifiers: tuple[str, ...] = ()


class Draw:
    """Random parameters, some of whose ranges only one split may see.

    Args:
        rng: where all randomness comes from.
        held_out: draw dials from the `HELD_OUT` ranges only; otherwise from all others.
    """

    def __init__(self, rng: np.random.Generator, *, held_out: bool) -> None:
        self.rng = rng
        self._held_out = held_out

    def dial(self) -> float:
        """A sound's main parameter (how fast, how heavy, how high), 0 … 1."""
        while True:
            value = self.rng.random()
            if any(low <= value < high for low, high in HELD_OUT) == self._held_out:
                return value

    def between(self, low: float, high: float) -> float:
        """Any value from low to high."""
        return self.rng.uniform(low, high)

    def log_between(self, low: float, high: float) -> float:
        """Any value from low to high, where ratios count: frequencies, times."""
        return scaled(self.rng.random(), low, high)

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.rng.random() < probability

    def choose(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[int(self.rng.integers(len(choices)))]


def scaled(dial: float, low: float, high: float) -> float:
    """A dial's value on a logarithmic scale from low to high."""
    return float(low * (high / low) ** dial)


def word(dial: float, low: str, high: str) -> str:
    """What people say of a dial's lower and upper third; of its middle, nothing."""
    return low if dial < 1 / 3 else high if dial > 2 / 3 else ""


def phrases(*templates: str) -> tuple[str, ...]:
    """Phrases without the double spaces that absent words leave, each once, "an" before vowels."""
    tidy = (re.sub(r"\ba (?=[aeiou])", "an ", " ".join(template.split())) for template in templates)
    return tuple(dict.fromkeys(tidy))


def words(*given: str) -> tuple[str, ...]:
    """Those that are not empty."""
    return tuple(one for one in given if one)


def band(low: float, high: float, order: float = 4.0) -> Spectrum:
    """Gain of a band-pass from low to high Hz, falling `6 * order` dB an octave outside."""

    def gain(frequencies: Signal) -> Signal:
        f = np.maximum(frequencies, 1.0)
        passed: Signal = 1 / np.sqrt((1 + (low / f) ** (2 * order)) * (1 + (f / high) ** (2 * order)))
        return passed

    return gain


def noise(draw: Draw, samples: int, spectrum: Spectrum) -> Signal:
    """Gaussian noise [samples] of that spectrum, with an RMS of 1. Its end joins its beginning."""
    white = np.fft.rfft(draw.rng.standard_normal(samples))
    shaped = np.fft.irfft(white * spectrum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)), samples)
    return level(shaped)


def moving_noise(draw: Draw, samples: int, gain: Callable[[Signal, Signal], Signal]) -> Signal:
    """Noise [samples] whose spectrum moves.

    Args:
        draw: the source of randomness.
        samples: how many.
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
    """A smooth random curve [samples] between low and high that turns about `rate` times a second."""
    points = max(4, int(samples / SAMPLE_RATE * rate * 2) + 3)
    coarse = np.interp(np.linspace(0, points - 1, points * 8), np.arange(points), draw.rng.random(points))
    smooth = np.convolve(np.pad(coarse, 6, mode="edge"), np.hanning(15)[1:-1] / np.hanning(15).sum(), mode="valid")
    stretched: Signal = np.interp(np.linspace(0, smooth.size - 1, samples), np.arange(smooth.size), smooth)
    return low + (high - low) * stretched


def seconds(samples: int) -> Signal:
    """The time of each of so many samples."""
    return np.arange(samples) / SAMPLE_RATE


def length(duration: float) -> int:
    """How many samples a duration has, at least one."""
    return max(1, round(duration * SAMPLE_RATE))


def phase(frequency: Signal) -> Signal:
    """Radians [samples] of an oscillator whose frequency in Hz moves as given."""
    turned: Signal = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    return turned


def tone(frequency: Signal, harmonics: Sequence[float] = (1.0,)) -> Signal:
    """A tone of moving frequency: amplitudes of its harmonics, those above 7.5 kHz left out."""
    base = phase(frequency)
    total = np.zeros_like(base)
    for number, amplitude in enumerate(harmonics, start=1):
        if amplitude and number * float(frequency.max()) < 7500:
            total += amplitude * np.sin(number * base)
    return total


def steady(frequency: float, samples: int, harmonics: Sequence[float] = (1.0,)) -> Signal:
    """A tone of one frequency."""
    return tone(np.full(samples, frequency), harmonics)


def burst(duration: float, attack: float = 0.005, release: float = 0.01) -> Signal:
    """An envelope that is on for a duration, with soft edges."""
    at = seconds(length(duration))
    return np.clip(np.minimum(at / attack, (duration - at) / release), 0, 1)


def strike(frequencies: Sequence[float], decays: Sequence[float], gains: Sequence[float], duration: float) -> Signal:
    """A struck body: one decaying sine per mode (modal synthesis)."""
    at = seconds(length(duration))
    total = np.zeros_like(at)
    for frequency, decay, gain in zip(frequencies, decays, gains, strict=True):
        if frequency < 7500:
            total += gain * np.exp(-at / decay) * np.sin(2 * np.pi * frequency * at)
    edges: Signal = np.minimum(1, at / 0.001) * np.minimum(1, (duration - at) / (0.2 * duration))
    return total * edges


def click(draw: Draw, duration: float, spectrum: Spectrum) -> Signal:
    """A decaying burst of shaped noise."""
    samples = length(duration)
    envelope: Signal = np.exp(-5 * np.arange(samples) / samples)
    return noise(draw, max(samples, 16), spectrum)[:samples] * envelope


def place(samples: int, times: Sequence[float], make: Callable[[int], Signal]) -> Signal:
    """Events [samples], the n-th made by `make(n)`, beginning at times[n] seconds; what is past the end is lost."""
    total = np.zeros(samples)
    for number, time in enumerate(times):
        start = round(time * SAMPLE_RATE)
        if start < samples:
            event = make(number)[: samples - start]
            total[start : start + event.size] += event
    return total


def same(event: Signal) -> Callable[[int], Signal]:
    """For `place`: the same event every time."""
    return lambda _: event


def scatter(draw: Draw, samples: int, rate: float, kernel: Signal, spread: float = 0.7) -> Signal:
    """Very many equal events at random times, `rate` a second, with log-normal gains."""
    count = max(1, int(draw.rng.poisson(rate * samples / SAMPLE_RATE)))
    impulses = np.zeros(samples)
    gains = draw.rng.lognormal(0, spread, count) * draw.rng.choice([-1.0, 1.0], count)
    np.add.at(impulses, draw.rng.integers(samples, size=count), gains)
    return np.fft.irfft(np.fft.rfft(impulses) * np.fft.rfft(kernel, samples), samples)


def beats(draw: Draw, samples: int, interval: float, jitter: float = 0.0) -> list[float]:
    """Times in seconds, one per interval, each off by up to `jitter` of it."""
    duration = samples / SAMPLE_RATE
    count = int(duration / interval) + 1
    start = draw.between(0, min(interval, 0.6))
    offsets = draw.rng.uniform(-jitter, jitter, count) * interval
    return [max(0.0, start + n * interval + float(offsets[n])) for n in range(count)]


def room(draw: Draw, waveform: Signal, decay: float, wet: float) -> Signal:
    """The sound in a room: convolved with noise that decays by 60 dB in `decay` seconds."""
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
    """The same with an RMS of 1; silence stays silent."""
    power = float(np.sqrt(np.mean(waveform**2)))
    return waveform / power if power > 0 else waveform
