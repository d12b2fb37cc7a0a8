"""Sounds of signals: beeps, alarms, sirens, telephones, whistles, games."""

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
    curve,
    length,
    noise,
    phrases,
    place,
    room,
    same,
    scaled,
    seconds,
    steady,
    strike,
    tone,
    word,
    words,
)

_SQUARE = (1, 0, 1 / 3, 0, 1 / 5, 0, 1 / 7)


def beep(draw: Draw, samples: int) -> Rendering:
    """Renders one repeated tone of even loudness."""
    rate, height = draw.dial(), draw.rng.random()
    speed, pitch = word(rate, "slow", "fast"), word(height, "low", "high")
    per_second = scaled(rate, 0.6, 7)
    duration = min(draw.between(0.3, 0.55) / per_second, 0.4)
    one = steady(scaled(height, 350, 2600), length(duration), draw.choose([(1.0,), _SQUARE])) * burst(duration)
    waveform = place(samples, beats(draw, samples, 1 / per_second), same(one))
    pitched = f"{pitch}-pitched" if pitch else ""
    said = phrases(
        f"{speed} {pitched} beeping",
        f"{speed} beeping",
        f"{speed} {pitched} beeps",
        "a machine beeping",
        f"{speed} electronic beeps",
    )
    return Rendering(waveform, said, words(speed, pitched))


def alarm_clock(draw: Draw, samples: int) -> Rendering:
    """Renders groups of short sharp beeps."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    step = 1 / scaled(rate, 5, 13)
    one = steady(draw.log_between(1900, 2500), length(step * 0.55), _SQUARE) * burst(step * 0.55, 0.002, 0.002)
    group = place(length(step * 4), [step * n for n in range(4)], same(one))
    waveform = place(samples, beats(draw, samples, step * draw.between(6.5, 8)), same(group))
    said = phrases(
        f"a {speed} alarm clock",
        "an alarm clock ringing",
        f"a {speed} alarm clock beeping",
        "a digital alarm clock going off",
    )
    return Rendering(waveform, said, words(speed))


def alarm(draw: Draw, samples: int) -> Rendering:
    """Renders a harsh tone that jumps between two pitches without a pause."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    low = draw.log_between(550, 900)
    square = np.floor(seconds(samples) * scaled(rate, 1.2, 6) * 2 + draw.between(0, 2)) % 2
    waveform = tone(low * np.where(square > 0, draw.between(1.25, 1.6), 1), (1, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2))
    said = phrases(
        f"a {speed} alarm", f"a {speed} alarm sounding", "a fire alarm", "an alarm going off", "a warning alarm"
    )
    return Rendering(waveform, said, words(speed))


def siren(draw: Draw, samples: int) -> Rendering:
    """Renders a tone that glides up and down: slowly (wail) or quickly (yelp)."""
    rate = draw.dial()
    kind = "wailing" if rate < 0.55 else "yelping"
    period = scaled(rate / 0.55, 5.5, 2.2) if kind == "wailing" else scaled((rate - 0.55) / 0.45, 0.5, 0.22)
    low = draw.log_between(480, 750)
    turn = 0.5 - 0.5 * np.cos(2 * np.pi * (seconds(samples) / period + draw.between(0, 1)))
    waveform = tone(low * draw.between(1.8, 2.4) ** turn, (1, 0.5, 0.4, 0.2, 0.15))
    said = (
        (
            "a siren wailing",
            "a wailing siren",
            "a police siren wailing",
            "a siren",
            "an emergency siren rising and falling",
        )
        if kind == "wailing"
        else (
            "a siren yelping",
            "a fast yelping siren",
            "a police siren yelping",
            "a siren",
            "an ambulance siren switching fast",
        )
    )
    return Rendering(room(draw, waveform, 0.8, 0.25), said, (kind,))


def phone(draw: Draw, samples: int) -> Rendering:
    """Renders an old telephone's bell, or an electronic warble."""
    rate = draw.dial()
    kind = draw.choose(["old", "electronic"])
    ring, pause = draw.between(0.9, 1.6), draw.between(0.5, 1.2)
    base = draw.log_between(900, 1500)
    if kind == "old":
        step = 1 / scaled(rate, 18, 28)
        bells = [
            strike([f * base * k for k in (1, 2.1, 2.9, 4.2)], [0.09, 0.08, 0.05, 0.03], [1, 0.8, 0.6, 0.4], 0.35)
            for f in (1, 1.22)
        ]
        one = place(length(ring + 0.3), [n * step for n in range(int(ring / step))], lambda n: bells[n % 2])
    else:
        warble = np.sign(np.sin(2 * np.pi * scaled(rate, 10, 22) * seconds(length(ring))))
        one = tone(base * (1 + 0.14 * warble), (1, 0.3, 0.2)) * burst(ring)
    waveform = place(samples, beats(draw, samples, ring + pause), same(one))
    said = phrases(f"an {kind} phone ringing", "a phone ringing", f"an {kind} telephone ringing", "a telephone")
    return Rendering(waveform, said, words(kind))


def sweep(draw: Draw, samples: int) -> Rendering:
    """Renders tones that glide from one pitch to another, up or down."""
    rate = draw.dial()
    speed, direction = word(rate, "slow", "fast"), draw.choose(["rising", "falling"])
    duration = scaled(rate, 4.5, 0.7)
    at = seconds(length(duration)) / duration
    low, high = draw.log_between(120, 300), draw.log_between(1800, 5000)
    glide = tone(low * (high / low) ** (at if direction == "rising" else 1 - at), draw.choose([(1.0,), (1, 0.3, 0.2)]))
    waveform = place(
        samples, beats(draw, samples, duration + draw.between(0.1, 0.4)), lambda _: glide * burst(duration)
    )
    way = "up" if direction == "rising" else "down"
    said = phrases(
        f"a {speed} {direction} tone",
        f"a {speed} sweep {way}",
        f"a tone sweeping {way}",
        f"a {speed} synth sweep {way}",
        f"a {direction} pitch",
    )
    return Rendering(waveform, said, words(speed, direction))


def dial_tone(draw: Draw, samples: int) -> Rendering:
    """Renders two steady tones: without a pause, or broken up (busy)."""
    pitch = draw.dial()
    kind = draw.choose(["", "busy"])
    base = scaled(pitch, 300, 480)
    waveform = steady(base, samples) + steady(base * draw.between(1.22, 1.3), samples)
    if kind:
        on = (seconds(samples) * draw.between(1, 2.2)) % 1 < 0.5
        waveform = waveform * np.convolve(on.astype(float), np.full(80, 1 / 80), mode="same")
        return Rendering(
            waveform,
            ("a busy signal", "a busy phone line", "a busy tone on the telephone", "the busy tone of a phone"),
            ("busy",),
        )
    return Rendering(
        waveform, ("a dial tone", "a telephone dial tone", "the dial tone of a phone line", "a steady phone line tone")
    )


def whistle(draw: Draw, samples: int) -> Rendering:
    """Renders a person whistling a tune, or a referee's whistle."""
    pitch = draw.dial()
    if draw.chance(0.4):
        blow = draw.between(0.4, 1.0)
        at = seconds(length(blow))
        trill = 1 + 0.5 * np.sin(2 * np.pi * draw.between(28, 45) * at)
        base = scaled(pitch, 2300, 3200)
        one = (
            (steady(base, at.size) + 0.8 * steady(base * 1.06, at.size) + 0.15 * noise(draw, at.size, band(2000, 6000)))
            * trill
            * burst(blow, 0.02, 0.05)
        )
        waveform = place(samples, beats(draw, samples, blow + draw.between(0.3, 1.0)), same(one))
        return Rendering(
            waveform,
            ("a referee whistle", "a referee blowing a whistle", "a sports whistle", "a referee whistling"),
            ("referee",),
        )
    height = word(pitch, "low", "high")
    base, step = scaled(pitch, 800, 1700), draw.between(0.22, 0.5)
    scale = [0, 2, 4, 7, 9, 12]
    notes = base * 2 ** (np.array([draw.choose(scale) for _ in range(int(samples / SAMPLE_RATE / step) + 2)]) / 12)
    at = seconds(samples)
    sung = np.interp(
        at,
        np.repeat(np.arange(notes.size) * step, 2)[1:] + np.tile([0, 0.05], notes.size)[:-1],
        np.repeat(notes, 2)[:-1],
    )
    vibrato = 1 + 0.012 * np.sin(2 * np.pi * draw.between(4.5, 6.5) * at)
    envelope = 0.35 + 0.65 * np.abs(np.sin(np.pi * at / step)) ** 0.3
    waveform = tone(sung * vibrato, (1, 0.04)) * envelope + 0.01 * noise(draw, samples, band(1000, 5000, 1))
    said = phrases(
        f"a {height} whistle",
        f"a person whistling a {height} tune",
        "somebody whistling",
        f"whistling a {height} melody",
    )
    return Rendering(waveform, said, words(height))


def horn(draw: Draw, samples: int) -> Rendering:
    """Renders a car's two-note horn, in long or short blasts."""
    haste = draw.dial()
    kind = word(haste, "long", "short")
    blast = scaled(haste, 1.8, 0.18)
    base = draw.log_between(320, 460)
    loud = tuple(1 / n**0.6 for n in range(1, 14))
    one = (steady(base, length(blast), loud) + steady(base * draw.between(1.2, 1.27), length(blast), loud)) * burst(
        blast, 0.02, 0.04
    )
    waveform = place(samples, beats(draw, samples, blast + draw.between(0.2, 0.9), 0.08), same(one))
    said = phrases(
        f"{kind} honks of a car horn" if kind else "a car horn honking",
        "a car horn",
        "a car honking",
        f"{kind} blasts of a car horn",
    )
    return Rendering(room(draw, waveform, 0.6, 0.2), said, words(kind))


def game_coin(draw: Draw, samples: int) -> Rendering:
    """Renders the coin sound of games: two square-wave notes, the second held."""
    pitch = draw.dial()
    base = scaled(pitch, 700, 1250)

    def coin(_: int) -> Signal:
        low = steady(base, length(0.08), _SQUARE)
        at = seconds(length(0.5))
        high = steady(base * 4 / 3, at.size, _SQUARE) * np.exp(-at / 0.16)
        return np.concatenate([low, high])

    waveform = place(samples, beats(draw, samples, draw.between(0.6, 1.4), 0.2), coin)
    return Rendering(
        waveform,
        ("a video game coin", "collecting coins in a video game", "a retro game coin sound", "8-bit game coins"),
    )


def laser(draw: Draw, samples: int) -> Rendering:
    """Renders tones that fall by octaves in a fraction of a second."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    duration = draw.between(0.12, 0.3)
    at = seconds(length(duration)) / duration
    top, bottom = draw.log_between(3500, 6500), draw.log_between(150, 400)
    one = tone(bottom * (top / bottom) ** ((1 - at) ** 2), draw.choose([(1.0,), (1, 0.4, 0.3)])) * (1 - at) ** 0.5
    waveform = place(samples, beats(draw, samples, 1 / scaled(rate, 0.9, 6), 0.25), same(one))
    said = phrases(
        f"{speed} laser shots",
        "a laser gun",
        f"{speed} laser fire",
        "laser guns shooting",
        "science fiction laser blasts",
    )
    return Rendering(waveform, said, words(speed))


def sonar(draw: Draw, samples: int) -> Rendering:
    """Renders a soft ping with a long echo."""
    pitch = draw.dial()
    height = word(pitch, "low", "high")
    at = seconds(length(1.2))
    one = steady(scaled(pitch, 600, 1500), at.size) * np.exp(-at / 0.25) * np.minimum(1, at / 0.005)
    waveform = room(draw, place(samples, beats(draw, samples, draw.between(1.5, 2.6)), same(one)), 2.5, 1.0)
    said = phrases(f"a {height} sonar ping", "a submarine sonar", f"{height} sonar pings", "sonar pinging under water")
    return Rendering(waveform, said, words(height))


def static(draw: Draw, samples: int) -> Rendering:
    """Renders noise of one level: white, or a radio's with its crackle."""
    roughness = draw.dial()
    if roughness < 0.5:
        said = ("white noise", "steady white noise", "a constant hiss of white noise", "white noise hissing")
        return Rendering(noise(draw, samples, band(20, scaled(roughness, 7900, 5000), 2)), said)
    hiss = noise(draw, samples, band(600, 5000, 1)) * curve(draw, samples, 12, 0.2, 1.8) ** scaled(roughness, 1, 2)
    squeal = 0.15 * tone(curve(draw, samples, 1, 600, 2500)) * curve(draw, samples, 1, -0.5, 1).clip(0)
    return Rendering(
        hiss + squeal,
        ("radio static", "static on a radio", "a radio between stations", "crackling radio static"),
        ("radio",),
    )
