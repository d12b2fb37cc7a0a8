"""Sounds of animals."""

from __future__ import annotations

import numpy as np

from training.data.synthesis import (
    Draw,
    Rendering,
    Signal,
    band,
    beats,
    burst,
    length,
    noise,
    phrases,
    place,
    room,
    same,
    scaled,
    seconds,
    tone,
    word,
    words,
)


def birds(draw: Draw, samples: int) -> Rendering:
    """Renders chirps, whistles and trills of one to six birds."""
    crowd = draw.dial()
    many = word(crowd, "single", "many")
    count = {"single": 1, "": 3, "many": 6}[many]
    waveform = np.zeros(samples)
    for _ in range(count):
        times = beats(draw, samples, draw.between(0.7, 1.4) * (1 + 0.25 * count), 0.3)
        waveform += place(samples, times, same(_birdsong(draw))) * draw.log_between(0.4, 1)
    said = {
        "single": ("a single bird chirping", "a bird singing", "a bird chirping", "a single bird tweeting"),
        "": ("birds chirping", "birds singing", "birdsong", "birds tweeting in a tree"),
        "many": ("many birds chirping", "a lot of birds singing", "a flock of birds chirping", "many birds tweeting"),
    }[many]
    return Rendering(room(draw, waveform, 0.6, 0.2), said, words(many))


def _birdsong(draw: Draw) -> Signal:
    """Renders one bird's song: one to six equal gliding notes, some trilled."""
    base, reach = draw.log_between(2300, 4600), draw.between(0.12, 0.45) * draw.choose([-1, 1])
    notes, duration, gap = int(draw.rng.integers(1, 7)), draw.between(0.05, 0.16), draw.between(0.02, 0.08)
    trill = draw.choose([0.0, draw.between(18, 45)])
    at = seconds(length(duration))
    glide = base * (1 + reach * (at / duration - 0.5) + 0.08 * np.sin(2 * np.pi * trill * at))
    chirp = tone(np.minimum(glide, 7000), (1, 0.1)) * np.abs(np.sin(np.pi * at / duration)) ** 0.7
    step = duration + gap
    return place(length(notes * step), [n * step for n in range(notes)], same(chirp))


def crickets(draw: Draw, samples: int) -> Rendering:
    """Renders pulse trains near 4.5 kHz."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    waveform = np.zeros(samples)
    for _ in range(int(draw.rng.integers(1, 4))):
        pulse, count = draw.between(0.018, 0.026), int(draw.rng.integers(3, 6))
        envelope = np.sin(np.pi * seconds(length(pulse)) / pulse)
        carrier = draw.between(4000, 5200)
        one = np.sin(2 * np.pi * carrier * seconds(envelope.size)) * envelope
        chirp = place(length(count * pulse * 1.4), [n * pulse * 1.4 for n in range(count)], same(one))
        times = beats(draw, samples, 1 / (scaled(rate, 1.2, 4.5) * draw.between(0.9, 1.1)), 0.03)
        waveform += place(samples, times, same(chirp)) * draw.log_between(0.3, 1)
    waveform += 0.01 * noise(draw, samples, band(200, 3000, 1))
    said = phrases(
        f"{speed} crickets chirping",
        "crickets at night",
        "crickets chirping on a summer night",
        f"{speed} chirping of crickets",
        "a cricket",
    )
    return Rendering(waveform, said, words(speed))


def owl(draw: Draw, samples: int) -> Rendering:
    """Renders soft low hoots in groups."""
    pitch = draw.dial()
    height = word(pitch, "deep", "high")
    base, hoots = scaled(pitch, 260, 520), int(draw.rng.integers(1, 4))
    at_hoots = [0.0, 0.55, 0.85][:hoots]

    def hoot(number: int) -> Signal:
        duration = 0.45 if number == 0 else 0.25
        at = seconds(length(duration))
        swell: Signal = np.sin(np.pi * at / duration)
        breath = 0.05 * noise(draw, at.size, band(base, base * 3)) * burst(duration, 0.1, 0.1)
        sung: Signal = tone(base * (1 + 0.08 * swell), (1, 0.15, 0.05)) * swell**0.8
        return sung + breath

    times = beats(draw, samples, draw.between(1.8, 2.8), 0.08)
    waveform = place(samples, times, lambda _: place(length(1.4), at_hoots, hoot))
    said = phrases(
        f"an owl with a {height} hoot" if height else "an owl hooting",
        "an owl",
        "an owl hooting at night",
        f"{height} hoots of an owl",
    )
    return Rendering(room(draw, waveform, 1.0, 0.4), said, words(height))
