"""Sounds of percussion: drums, bells, hands, and the heart."""

from __future__ import annotations

import numpy as np

from training.data.synthesis import (
    SAMPLE_RATE,
    Draw,
    Rendering,
    Signal,
    band,
    beats,
    burst,
    click,
    curve,
    length,
    level,
    noise,
    phrases,
    place,
    room,
    same,
    scaled,
    scatter,
    seconds,
    steady,
    strike,
    tone,
    word,
    words,
)

_BELL_PARTIALS = (0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 3.01)  # a church bell's hum, prime, tierce, quint, nominal, …


def _kick(draw: Draw) -> Signal:
    at = seconds(length(0.4))
    low, drop = draw.log_between(42, 62), draw.log_between(80, 220)
    decay: Signal = np.exp(-at / draw.between(0.06, 0.14))
    return tone(low + drop * np.exp(-at / 0.03)) * decay * burst(0.4, 0.0005, 0.1)


def _snare(draw: Draw) -> Signal:
    wires = click(draw, draw.between(0.18, 0.35), band(1200, 7000, 1))
    body = draw.log_between(160, 240)
    skin = strike([body, body * 1.6], [0.05, 0.03], [1, 0.6], wires.size / SAMPLE_RATE)
    return wires + 1.2 * skin[: wires.size]


def _hat(draw: Draw, *, is_open: bool) -> Signal:
    return click(
        draw,
        draw.between(0.35, 0.6) if is_open else draw.between(0.05, 0.1),
        band(draw.log_between(4500, 6000), 7900, 3),
    )


def kick(draw: Draw, samples: int) -> Rendering:
    """Renders a bass drum on every beat."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    one = _kick(draw)
    waveform = place(samples, beats(draw, samples, 1 / scaled(rate, 0.8, 4)), same(one))
    said = phrases(
        f"a {speed} kick drum", f"{speed} bass drum hits", f"a {speed} kick drum beat", "a bass drum", "a kick drum"
    )
    return Rendering(waveform, said, words(speed))


def snare(draw: Draw, samples: int) -> Rendering:
    """Renders a snare drum on every beat."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    one = _snare(draw)
    waveform = place(
        samples, beats(draw, samples, 1 / scaled(rate, 0.8, 6), 0.01), lambda _: one * draw.between(0.7, 1)
    )
    said = phrases(f"{speed} snare drum hits", "a snare drum", f"a {speed} snare drum", f"{speed} hits on a snare drum")
    return Rendering(waveform, said, words(speed))


def hi_hat(draw: Draw, samples: int) -> Rendering:
    """Renders a hi-hat, closed or open."""
    rate = draw.dial()
    speed, kind = word(rate, "slow", "fast"), draw.choose(["closed", "open"])
    one = _hat(draw, is_open=kind == "open")
    waveform = place(
        samples, beats(draw, samples, 1 / scaled(rate, 1.2, 8)), lambda n: one * (1 if n % 2 == 0 else 0.6)
    )
    said = phrases(
        f"a {speed} {kind} hi-hat",
        "a hi-hat",
        f"{speed} hi-hat hits",
        f"a {kind} hi-hat playing",
        f"{kind} hi-hat cymbals",
    )
    return Rendering(waveform, said, words(speed, kind))


def drum_loop(draw: Draw, samples: int) -> Rendering:
    """Renders kick, snare and hi-hat in a repeated bar of eight steps."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    step = 30 / scaled(rate, 65, 175)
    drums = {"k": _kick(draw) * 1.3, "s": _snare(draw) * 0.8, "h": _hat(draw, is_open=False) * 0.4}
    pattern = draw.choose(["k.s.k.s.", "k.s.kks.", "k.sk.ks.", "kks..ks.", "k...s..k"])
    total = int(samples / SAMPLE_RATE / step) + 1
    start = draw.between(0, 0.3)
    waveform = place(samples, [start + n * step for n in range(total)], same(drums["h"]))
    for name in "ks":
        times = [start + n * step for n in range(total) if pattern[n % 8] == name]
        waveform += place(samples, times, same(drums[name]))
    said = phrases(
        f"a {speed} drum loop", f"a {speed} drum beat", "a drum loop", f"{speed} drums playing a beat", "drums"
    )
    return Rendering(waveform, said, words(speed))


def applause(draw: Draw, samples: int) -> Rendering:
    """Renders applause, from a few people to a full hall."""
    crowd = draw.dial()
    many = word(crowd, "few", "large")
    claps = [
        level(
            scatter(
                draw,
                samples,
                scaled(crowd, 6, 160),
                click(draw, draw.between(0.015, 0.03), band(low, low * 2.4, 1.5)),
                0.4,
            )
        )
        for low in (650, 850, 1050, 1300)
    ]
    waveform = sum(claps, np.zeros(samples)) * curve(draw, samples, 0.3, 0.6, 1.2)
    said = {
        "few": (
            "a few people clapping",
            "a few hands clapping",
            "scattered applause of a few people",
            "a few people applauding",
        ),
        "": ("applause", "people clapping", "an audience clapping", "people applauding"),
        "large": (
            "a large crowd clapping",
            "applause of a large audience",
            "loud applause",
            "a large crowd applauding",
        ),
    }[many]
    return Rendering(room(draw, waveform, 1.0, 0.35), said, words(many))


def heartbeat(draw: Draw, samples: int) -> Rendering:
    """Renders heartbeats of two dull thumps, lub and dub."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    per_second = scaled(rate, 0.75, 2.6)
    gap = min(0.3, 0.32 / per_second)
    at = seconds(length(0.2))
    body = draw.log_between(45, 70)

    envelope: Signal = np.sin(np.pi * np.minimum(at / 0.14, 1)) ** 1.5
    lub = steady(body, at.size, (1, 0.6, 0.25)) * envelope
    dub = 0.7 * steady(1.25 * body, at.size, (1, 0.6, 0.25)) * envelope

    times = [start + offset for start in beats(draw, samples, 1 / per_second, 0.01) for offset in (0, gap)]
    waveform = place(samples, times, lambda number: dub if number % 2 else lub) + 0.004 * noise(
        draw, samples, band(60, 400, 1)
    )
    said = phrases(
        f"a {speed} heartbeat",
        "a heart beating",
        f"a {speed} heart beat",
        f"a heart with a {speed} beat",
        "a heartbeat",
    )
    return Rendering(waveform, said, words(speed))


def bell(draw: Draw, samples: int) -> Rendering:
    """Renders a small bell, struck repeatedly."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    base = draw.log_between(1300, 2600)
    partials, decays = [1, 2.0, 2.76, 4.1], [draw.between(0.4, 0.9) / k for k in (1, 1.5, 2, 3)]
    one = strike([base * k for k in partials], decays, [1, 0.5, 0.5, 0.3], 1.8)
    times = beats(draw, samples, 1 / scaled(rate, 0.6, 5), 0.05)
    said = phrases(
        f"a small bell with {speed} rings" if speed else "a small bell ringing",
        "a bell ringing",
        "a hand bell ringing",
        "a bell",
    )
    return Rendering(place(samples, times, same(one)), said, words("small", speed))


def church_bell(draw: Draw, samples: int) -> Rendering:
    """Renders a large bell with its minor-third partial and slow decay."""
    pitch = draw.dial()
    size = word(pitch, "big", "little")
    prime = scaled(pitch, 180, 480)
    detuned = [prime * partial * draw.between(0.995, 1.005) for partial in _BELL_PARTIALS]
    one = strike(detuned, [3.5, 2.2, 1.6, 1.2, 1.0, 0.6, 0.4], [0.6, 1, 0.7, 0.4, 0.9, 0.4, 0.3], 5)
    times = beats(draw, samples, draw.between(1.6, 2.8), 0.02)
    waveform = room(draw, place(samples, times, lambda _: one * draw.between(0.8, 1)), 1.5, 0.3)
    said = phrases(
        f"a {size} church bell ringing",
        "church bells",
        "a church bell tolling",
        f"a {size} church bell",
        "bells of a church tower",
    )
    return Rendering(waveform, said, words(size))
