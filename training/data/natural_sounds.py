"""Sounds of weather, water and fire."""

from __future__ import annotations

import numpy as np

from training.data.synthesis import (
    SAMPLE_RATE,
    Draw,
    Rendering,
    Signal,
    band,
    beats,
    click,
    curve,
    length,
    level,
    moving_noise,
    noise,
    phrases,
    place,
    room,
    scaled,
    scatter,
    seconds,
    strike,
    tone,
    word,
    words,
)


def rain(draw: Draw, samples: int) -> Rendering:
    """Renders rain, from single drops to a downpour, in the open, on a window or on a roof."""
    heaviness = draw.dial()
    weight = word(heaviness, "light", "heavy")
    surface = draw.choose(["window", "window", "window", "roof", ""])
    if surface == "window":
        kernel = strike([draw.between(1500, 2100), draw.between(2700, 3600)], [0.003, 0.002], [1, 0.8], 0.02)
    elif surface == "roof":
        kernel = strike([draw.between(350, 600), draw.between(800, 1300)], [0.012, 0.008], [1, 0.7], 0.06)
    else:
        kernel = click(draw, 0.004, band(2500, 7000))
    drops = scatter(draw, samples, scaled(heaviness, 12, 500), kernel, 0.8)
    drops = level(drops) + 0.6 * level(
        scatter(draw, samples, scaled(heaviness, 40, 1500), click(draw, 0.003, band(1800, 6500)))
    )
    hiss = noise(draw, samples, band(scaled(heaviness, 2200, 700), 7000, 1)) * curve(draw, samples, 0.4, 0.85, 1.15)
    waveform = drops * (1 if surface else 0.8) + scaled(heaviness, 0.12, 1.6) * hiss
    falling = {"light": "light rain drizzling", "heavy": "rain pouring down", "": "rain falling"}[weight]
    on = f"on a {surface}" if surface else ""
    said = (
        phrases(
            f"{weight} rain {on}",
            f"rain {on}",
            f"{falling} {on}",
            f"{weight} raindrops {on}",
            f"{weight} rain hitting a {surface}",
        )
        if surface
        else phrases(f"{weight} rain", falling, f"the sound of {weight} rain", f"{weight} rain falling outside", "rain")
    )
    return Rendering(waveform, said, words(weight, surface))


def wind(draw: Draw, samples: int) -> Rendering:
    """Renders noise around a resonance that rises with each gust."""
    strength = draw.dial()
    kind = word(strength, "gentle", "howling")
    gusts = curve(draw, samples, draw.between(0.25, 0.6), 0.1, 1.0)
    base, width = draw.log_between(220, 320), scaled(strength, 0.9, 0.09)

    def gain(times: Signal, frequencies: Signal) -> Signal:
        gust = np.interp(times, seconds(samples), gusts)
        centre = base * (1 + scaled(strength, 0.4, 2.2) * gust)
        resonance = np.exp(-((np.log2(np.maximum(frequencies, 20) / centre) / (2 * width)) ** 2))
        rumble = 0.35 / (1 + (frequencies / 250) ** 2)
        gains: Signal = gust ** (1 + strength) * (resonance / np.sqrt(width) + rumble + 0.01)
        return gains

    said = {
        "gentle": ("a gentle wind", "a soft breeze", "gentle wind blowing", "a light breeze"),
        "": ("wind blowing", "wind", "gusts of wind", "a windy day"),
        "howling": ("a howling wind", "strong wind howling", "a storm wind howling", "strong gusts of wind"),
    }[kind]
    return Rendering(moving_noise(draw, samples, gain), said, words(kind))


def ocean(draw: Draw, samples: int) -> Rendering:
    """Renders waves that swell, break and run back."""
    force = draw.dial()
    kind = word(force, "calm", "crashing")
    period = draw.between(3, 5.5) * (1 - 0.2 * force)
    start, rise = draw.between(0, period), scaled(force, 0.45, 0.15)

    def gain(times: Signal, frequencies: Signal) -> Signal:
        place_in_wave = ((times + start) / period) % 1
        swell = np.where(
            place_in_wave < rise, place_in_wave / rise, np.exp(-(place_in_wave - rise) * scaled(force, 2.5, 4.5))
        )
        swell = swell**1.5
        brightness = 250 + scaled(force, 900, 4000) * swell
        gains: Signal = np.where(frequencies > 40, (0.08 + swell) / (1 + (frequencies / brightness) ** 2), 0.0)
        return gains

    said = {
        "calm": ("calm ocean waves", "gentle waves on a beach", "calm sea waves", "small waves lapping the shore"),
        "": ("ocean waves", "waves on a beach", "the sea", "sea waves rolling in"),
        "crashing": (
            "ocean waves crashing",
            "big waves crashing on rocks",
            "waves crashing on the shore",
            "a stormy sea",
        ),
    }[kind]
    return Rendering(moving_noise(draw, samples, gain), said, words(kind))


def thunder(draw: Draw, samples: int) -> Rendering:
    """Renders thunder: cracks close by, or a long rumble far away."""
    closeness = draw.dial()
    kind = word(closeness, "rumbling", "loud")
    strikes = [draw.between(0.1, 1.0)] if draw.chance(0.5) else [draw.between(0.1, 0.8), draw.between(4.0, 6.5)]
    rolls = [(t + draw.between(0, 2.5), draw.log_between(0.15, 1)) for t in strikes for _ in range(7)]

    def gain(times: Signal, frequencies: Signal) -> Signal:
        total = np.zeros((times.shape[0], frequencies.shape[1]))
        for start, loud in [*rolls, *((t, 2.0) for t in strikes)]:
            age = np.maximum(times - start, 0)
            on = (times >= start) * loud * np.exp(-age / 0.9)
            total += on / (1 + (frequencies / (70 + scaled(closeness, 60, 1500) * np.exp(-age / 0.35))) ** 2)
        return total * (frequencies > 25)

    waveform = moving_noise(draw, samples, gain)
    if closeness > 0.4:
        crack = place(samples, strikes, lambda _: click(draw, 0.35, band(400, 6000, 1)) * 6 * closeness)
        waveform = waveform + crack
    said = {
        "rumbling": (
            "thunder rumbling",
            "rumbling thunder",
            "a low roll of thunder",
            "a thunderstorm rumbling far away",
        ),
        "": ("thunder", "a thunderstorm", "rolling thunder", "the roll of thunder"),
        "loud": ("a loud clap of thunder", "a loud thunder crack", "thunder and lightning striking", "a thunderclap"),
    }[kind]
    return Rendering(waveform, said, words(kind))


def fire(draw: Draw, samples: int) -> Rendering:
    """Renders crackles over a low roar."""
    size = draw.dial()
    kind = word(size, "small", "roaring")
    crackles = sum(
        level(scatter(draw, samples, scaled(size, 3, 14), click(draw, duration, band(low, 7000)), 1.1))
        for duration, low in ((0.003, 2500), (0.008, 1200), (0.02, 600))
    )
    roar = noise(draw, samples, band(50, scaled(size, 180, 420), 1)) * curve(draw, samples, 2.5, 0.4, 1.5)
    said = {
        "small": (
            "a small crackling fire",
            "a campfire crackling softly",
            "a small fire crackling",
            "a fireplace crackling",
        ),
        "": ("a crackling fire", "fire crackling", "a campfire", "a fireplace"),
        "roaring": ("a roaring fire", "a big fire burning", "flames roaring and crackling", "a bonfire roaring"),
    }[kind]
    return Rendering(crackles + scaled(size, 0.15, 2.5) * roar, said, words(kind))


def _bubble(draw: Draw, low: float, high: float, rise: float) -> Signal:
    """Makes one bubble: a decaying sine whose pitch rises as it nears the surface (van den Doel 2005)."""
    frequency = draw.log_between(low, high)
    decay = draw.between(6, 14) / frequency
    at = seconds(length(6 * decay))
    envelope: Signal = np.exp(-at / decay) * np.minimum(1, at / 0.002)
    return tone(frequency * (1 + rise * at / decay)) * envelope


def stream(draw: Draw, samples: int) -> Rendering:
    """Renders very many small bubbles over soft noise."""
    flow = draw.dial()
    kind = word(flow, "trickling", "rushing")
    times = list(draw.rng.uniform(0, samples / SAMPLE_RATE, int(scaled(flow, 25, 90) * samples / SAMPLE_RATE)))
    bubbles = place(samples, times, lambda _: _bubble(draw, 500, 2200, 0.06) * draw.log_between(0.2, 1))
    wash = noise(draw, samples, band(400, 2500, 1)) * curve(draw, samples, 1.5, 0.8, 1.2)
    said = {
        "trickling": ("water trickling", "a trickling stream", "a small brook trickling", "trickling water"),
        "": ("a stream flowing", "running water", "a babbling brook", "water flowing in a stream"),
        "rushing": ("a rushing stream", "a river rushing by", "rushing water", "fast running water"),
    }[kind]
    return Rendering(level(bubbles) + scaled(flow, 0.08, 1.5) * wash, said, words(kind))


def bubbles(draw: Draw, samples: int) -> Rendering:
    """Renders large bubbles, one by one."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    times = list(draw.rng.uniform(0, samples / SAMPLE_RATE, int(scaled(rate, 4, 24) * samples / SAMPLE_RATE)))
    pitch = draw.log_between(180, 380)
    waveform = place(samples, times, lambda _: _bubble(draw, pitch, pitch * 2.4, 0.16) * draw.between(0.3, 1))
    said = phrases(
        f"{speed} bubbling",
        f"{speed} bubbles",
        f"{speed} bubbles rising in water",
        "bubbling water",
        "bubbles under water",
    )
    return Rendering(waveform, said, words(speed))


def dripping(draw: Draw, samples: int) -> Rendering:
    """Renders single drops into water, with an echo."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    pitch, rise = draw.log_between(900, 1700), draw.between(0.1, 0.25)

    def drop(_: int) -> Signal:
        plink = _bubble(draw, pitch, pitch * 1.25, rise)
        return place(
            plink.size + 800, [0.0, 0.03], lambda n: plink if n else 0.4 * click(draw, 0.006, band(1500, 6000))
        )

    times = beats(draw, samples, 1 / scaled(rate, 0.7, 5), 0.08)
    waveform = room(draw, place(samples, times, drop), draw.between(0.4, 1.4), 0.5)
    said = phrases(
        f"{speed} water drops", f"{speed} dripping water", f"a {speed} dripping tap", "water dripping", "a dripping tap"
    )
    return Rendering(waveform, said, words(speed))
