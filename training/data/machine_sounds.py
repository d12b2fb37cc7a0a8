"""Sounds of engines, vehicles, weapons, electricity and household objects."""

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
    moving_noise,
    noise,
    phase,
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


def engine(draw: Draw, samples: int) -> Rendering:
    """Renders firing pulses with a body resonance: idling, running or revving up."""
    load = draw.dial()
    kind = "idling" if load < 0.35 else "running" if load < 0.6 else "revving"
    if kind == "revving":
        speed = 28 + scaled(load, 30, 130) * curve(draw, samples, 0.6, 0, 1) ** 1.5
    else:
        speed = scaled(load, 14, 65) * curve(draw, samples, 4, 0.97, 1.03)
    turn = phase(speed)
    firing = np.exp(3.5 * (np.cos(turn) - 1)) + 0.6 * np.exp(3.5 * (np.cos(turn / 2 + 1) - 1))
    body = tone(speed, [draw.log_between(0.3, 1) / n**0.7 for n in range(1, 16)])
    rattle = noise(draw, samples, band(150, scaled(load, 900, 2600), 1)) * firing
    said = {
        "idling": ("an engine idling", "an idling car engine", "a motor idling", "a truck engine idling"),
        "running": (
            "an engine running",
            "a motor running",
            "a car engine running",
            "the steady hum of a running engine",
        ),
        "revving": ("an engine revving", "a car engine revving up", "a motorcycle engine revving", "a racing engine"),
    }[kind]
    return Rendering(level(body) + 0.9 * level(rattle), said, (kind,))


def helicopter(draw: Draw, samples: int) -> Rendering:
    """Renders blade slaps over turbine noise."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    turn = phase(scaled(rate, 6, 16) * curve(draw, samples, 0.5, 0.97, 1.03))
    slap = np.exp(5 * (np.cos(turn) - 1))
    waveform = slap * (level(noise(draw, samples, band(60, 450, 1))) + 0.5 * noise(draw, samples, band(400, 2500, 1)))
    waveform = (
        waveform
        + 0.12 * noise(draw, samples, band(300, 3000, 1))
        + 0.03 * steady(draw.log_between(1500, 3000), samples)
    )
    said = phrases(
        f"a helicopter with {speed} blades" if speed else "a helicopter flying",
        "a helicopter",
        "a helicopter hovering",
        "helicopter blades chopping",
        "a chopper flying by",
    )
    return Rendering(waveform, said, words(speed))


def train(draw: Draw, samples: int) -> Rendering:
    """Renders wheels over rail joints: pairs of clacks, two per bogie."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    period = 1 / scaled(rate, 0.7, 2.6)
    gap = period * draw.between(0.16, 0.22)
    clacks = [t + offset for t in beats(draw, samples, period, 0.01) for offset in (0, gap, 2.1 * gap, 3.1 * gap)]

    def clack(_: int) -> Signal:
        thump = strike([90, 210, 480], [0.05, 0.03, 0.02], [1, 0.8, 0.5], 0.2)
        return place(thump.size, [0.0, 0.0], lambda n: click(draw, 0.05, band(400, 3500, 1)) * 0.6 if n else thump)

    rumble = noise(draw, samples, band(50, 500, 1)) * curve(draw, samples, 1, 0.8, 1.2)
    waveform = place(samples, clacks, clack) + scaled(rate, 0.06, 0.16) * rumble
    said = phrases(
        f"a {speed} train passing",
        "a train on the tracks",
        "a train clattering over rails",
        f"a {speed} train on rails",
        "a train",
    )
    return Rendering(waveform, said, words(speed))


def explosion(draw: Draw, samples: int) -> Rendering:
    """Renders a blast, then a darkening boom."""
    size = draw.dial()
    kind = word(size, "small", "huge")
    decay = scaled(size, 0.25, 0.9)
    times = beats(draw, samples, draw.between(2.2, 3.2) * (1 + size), 0.2)

    def gain(clock: Signal, frequencies: Signal) -> Signal:
        total = np.zeros((clock.shape[0], frequencies.shape[1]))
        for time in times:
            age = np.maximum(clock - time, 0)
            brightness = 90 + scaled(size, 4000, 2500) * np.exp(-age / (0.2 * decay))
            total += (clock >= time) * np.exp(-age / decay) / (1 + (frequencies / brightness) ** 2)
        return total

    blast = np.tanh(2.5 * moving_noise(draw, samples, gain))
    at = seconds(length(1.0))
    boom = np.exp(-at / (0.4 * decay)) * tone(35 + 60 * np.exp(-at / 0.1)) * burst(1.0, 0.001, 0.2)
    thud = place(samples, times, same(boom))
    said = phrases(
        f"a {kind} explosion",
        "an explosion",
        f"a {kind} bomb exploding",
        f"{kind} explosions one after another",
        f"a {kind} blast",
    )
    return Rendering(room(draw, blast + thud, 1.2, 0.2), said, words(kind))


def hum(draw: Draw, samples: int) -> Rendering:
    """Renders mains hum at 50 or 60 Hz, with its harmonics."""
    buzz = draw.dial()
    kind = word(buzz, "low", "buzzing")
    base = draw.choose([50.0, 60.0]) * draw.between(0.98, 1.02)
    harmonics = [(0.4 if n % 2 else 1.0) / n ** scaled(buzz, 1.6, 0.35) for n in range(1, 40)]
    waveform = steady(base, samples, harmonics) + 0.01 * noise(draw, samples, band(100, 4000, 1))
    said = phrases(
        f"a {kind} electrical hum",
        "an electrical hum",
        f"a {kind} hum of a transformer",
        "mains hum",
        f"a {kind} power line",
    )
    return Rendering(waveform, said, words(kind))


def vacuum_cleaner(draw: Draw, samples: int) -> Rendering:
    """Renders a motor's whine in rushing air."""
    pitch = draw.dial()
    height = word(pitch, "low", "high")
    whine = tone(scaled(pitch, 220, 520) * curve(draw, samples, 0.7, 0.97, 1.03), [1 / n**0.8 for n in range(1, 10)])
    air = noise(draw, samples, band(300, 5000, 1))
    pitched = f"{height}-pitched" if height else ""
    said = phrases(
        f"a {pitched} vacuum cleaner",
        "a vacuum cleaner",
        "vacuuming",
        "a vacuum cleaner running",
        f"the {pitched} whine of a vacuum cleaner",
    )
    return Rendering(level(whine) + 0.8 * air, said, words(pitched))


def machine_gun(draw: Draw, samples: int) -> Rendering:
    """Renders salvos of shots."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    step, count = 1 / scaled(rate, 5.5, 14), int(draw.rng.integers(5, 14))
    shot = np.tanh(2 * click(draw, 0.12, band(120, 2200, 1))) + strike([110.0], [0.03], [1.0], 0.12)[: length(0.12)]
    times = [
        start + n * step for start in beats(draw, samples, count * step + draw.between(0.4, 1.0)) for n in range(count)
    ]
    waveform = room(draw, place(samples, times, lambda _: shot * draw.between(0.8, 1)), 0.8, 0.35)
    said = phrases(f"a {speed} machine gun", "a machine gun firing", f"{speed} machine gun fire", "machine gun shots")
    return Rendering(waveform, said, words(speed))


def typing(draw: Draw, samples: int) -> Rendering:
    """Renders keystrokes on a keyboard, with a typist's uneven timing."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    duration = samples / SAMPLE_RATE
    gaps = draw.rng.gamma(3.0, 1 / 3.0, int(duration * 16) + 1) / scaled(rate, 2.5, 10)
    times = [float(t) for t in np.cumsum(gaps) if t < duration]
    body = draw.log_between(1100, 2200)

    def key(_: int) -> Signal:
        down = click(draw, draw.between(0.008, 0.016), band(body * draw.between(0.8, 1.2), 6500, 1))
        up = 0.4 * click(draw, 0.008, band(2500, 7000))
        return place(length(0.12), [0.0, draw.between(0.05, 0.09)], lambda n: up if n else down) * draw.between(0.5, 1)

    said = phrases(
        f"{speed} typing on a keyboard",
        "typing on a keyboard",
        f"{speed} keyboard typing",
        "a computer keyboard",
        "somebody typing",
    )
    return Rendering(room(draw, place(samples, times, key), 0.2, 0.2), said, words(speed))


def clock(draw: Draw, samples: int) -> Rendering:
    """Renders the tick and tock of a clock."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    body = draw.log_between(1800, 3200)
    ticks = [strike([body * k, body * k * 1.83], [0.006, 0.004], [1, 0.6], 0.05) for k in (1, draw.between(0.75, 0.9))]
    waveform = place(samples, beats(draw, samples, 1 / scaled(rate, 0.9, 4.5)), lambda n: ticks[n % 2])
    said = phrases(
        f"a {speed} ticking clock",
        "a clock ticking",
        f"a clock with a {speed} tick",
        "tick tock of a clock",
        f"a wall clock, {speed} ticking",
    )
    return Rendering(room(draw, waveform, 0.3, 0.25), said, words(speed))


def knocking(draw: Draw, samples: int) -> Rendering:
    """Renders groups of two to five knocks on wood."""
    rate = draw.dial()
    speed = word(rate, "slow", "fast")
    step, count = 1 / scaled(rate, 2.2, 7), int(draw.rng.integers(2, 6))
    wood = draw.log_between(150, 320)

    def knock(_: int) -> Signal:
        return strike([wood, wood * 2.3, wood * 3.9], [0.03, 0.018, 0.01], [1, 0.6, 0.4], 0.2) * draw.between(0.7, 1)

    times = [
        start + n * step for start in beats(draw, samples, count * step + draw.between(0.7, 1.5)) for n in range(count)
    ]
    said = phrases(
        f"{speed} knocking on a door",
        "knocking on a door",
        f"{speed} knocks on a wooden door",
        "somebody knocking",
        "a knock at the door",
    )
    return Rendering(room(draw, place(samples, times, knock), 0.4, 0.3), said, words(speed))


def footsteps(draw: Draw, samples: int) -> Rendering:
    """Renders steps on gravel or a hard floor, walking or running."""
    rate = draw.dial()
    speed, ground = word(rate, "slow", "fast"), draw.choose(["gravel", "floor"])
    decay = draw.between(0.12, 0.2)

    def step(number: int) -> Signal:
        if ground == "gravel":
            grains = level(scatter(draw, length(decay), 1200, click(draw, 0.006, band(1500, 5500, 1.5)), 1.0))
            return grains * burst(decay, 0.03, 0.08) * draw.between(0.7, 1)
        heel = strike([95 + 8 * (number % 2), 260, 610], [0.03, 0.015, 0.008], [1, 0.5, 0.4], 0.15)
        return heel + np.pad(0.25 * click(draw, 0.03, band(700, 3000, 1)), (0, heel.size - length(0.03)))

    waveform = place(samples, beats(draw, samples, 1 / scaled(rate, 1.1, 3.2), 0.04), step)
    on = "on gravel" if ground == "gravel" else "on a hard floor"
    going = {"slow": "slowly", "fast": "running", "": "walking"}[speed]
    said = phrases(
        f"{speed} footsteps {on}",
        f"footsteps {on}",
        f"{speed} footsteps",
        f"somebody {'walking ' if speed == 'slow' else ''}{going} {on}",
        f"{speed} steps {on}",
    )
    return Rendering(room(draw, waveform, 0.4, 0.2), said, words(speed, ground))
