"""Runs every measure on a folder of checkpoints and writes the results."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.engine.engine import Engine
from training.measures import (
    codec,
    discriminators,
    generation,
    music,
    pictures,
    sounds,
    sources,
)
from training.measures.codec import Coded
from training.measures.discriminators import (
    CODED,
    GENERATED,
    NOISE,
    SOURCE,
    Judge,
)
from training.measures.results import MEASURES_FILE, Measure, Measures
from training.measures.signal import Mono
from training.runtime import Report

MUSIC_RATE, SOUND_RATE = 32_000, 16_000
CLIP_SECONDS = 10.0
SOUND_SECONDS = 5.0
HELD_OUT_CLIPS = 24
HELD_OUT_OF_GROUP = 8
TRAIN_OF_GROUP = 24
HELD_OUT_OF_KIND = 8
TRAIN_OF_KIND = 16
JUDGED_OF_PROMPT = 2
OTHER_SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")

Step = Callable[[], None]
Section = tuple[list[Measure], dict[str, Any]]


def measure(checkpoints: Path, out: Path, *, data: Path | None, seeds: int = 8, report: Report = print) -> Measures:
    """Runs every measure on a CPU; on one machine, all figures except the speed are the same each time.

    Args:
        checkpoints: folder with `music/` and `sound/`.
        out: folder for `measures.json` and the pictures.
        data: folder of recordings that the discriminators score as foreign audio; None: no such measure.
        seeds: number of clips per prompt.
        report: receives lines of progress.

    Returns:
        All measures, which `out/measures.json` holds as well.

    Raises:
        CheckpointError: a checkpoint is missing.
        InvalidRequest: fluidsynth or the soundfont is missing, or `data` has no audio.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _Stages(report) as stages:
        held_out = _render(stages, "source music", sources.pieces("test", HELD_OUT_CLIPS))
        coded, coding = _codec(stages, "music", checkpoints, [source.waveform for source in held_out])
        _, sound_coding = _codec(
            stages, "sound", checkpoints, sources.sound_mixture("test", HELD_OUT_CLIPS, CLIP_SECONDS)
        )
        generated, speed = _generate_music(stages, checkpoints, seeds)
        playing = _music(stages, generated, held_out)
        sounding = _sound(stages, checkpoints, seeds)
        judging = _judge(stages, checkpoints, held_out, coded, generated, data)
    sections: dict[str, Section] = {
        "music_codec": (coding, {}),
        "sound_codec": (sound_coding, {}),
        "music": playing,
        "sound": sounding,
        "discriminators": judging,
        "speed": (speed, {}),
    }
    result = Measures(
        tuple(row for rows, _ in sections.values() for row in rows),
        {name: details for name, (_, details) in sections.items() if details},
        _environment(seeds),
    )
    result.write(out / MEASURES_FILE)
    pictures.draw_spectrograms(out / "codec.png", coded, 0, "a held-out piece through the music codec")
    pictures.draw_prompts(out / "music.png", result.details["music"]["prompts"])
    found = result.details["discriminators"]
    pictures.draw_reliability(out / "discriminators.png", found["reliability"], found["realness"])
    return result


class _Stages:
    """Reports each stage with a line, and on a terminal also with a progress bar."""

    def __init__(self, report: Report) -> None:
        self._report = report
        console = Console()
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> _Stages:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, name: str, total: int) -> Step:
        """Begins a stage and returns the function to call after each of its `total` steps."""
        self._report(f"{name}: {total}")
        task = self._bar.add_task(name, total=total)
        return lambda: self._bar.advance(task)


def _render(stages: _Stages, name: str, chosen: list[Any], soundfont: Path | None = None) -> list[sources.MusicSource]:
    return sources.render_all(chosen, CLIP_SECONDS, soundfont, stages.begin(name, len(chosen)))


def _codec(stages: _Stages, name: str, checkpoints: Path, clips: list[Mono]) -> tuple[Coded, list[Measure]]:
    step = stages.begin(f"{name} codec", 2)
    coded = codec.code(resolve(str(checkpoints / name)), clips)
    step()
    measures = codec.codec_measures(f"{name} codec", codec.fidelity(coded))
    step()
    return coded, measures


def _generate_music(stages: _Stages, checkpoints: Path, seeds: int) -> tuple[list[list[Mono]], list[Measure]]:
    texts = [prompt.text for prompt in music.PROMPTS]
    step = stages.begin("generated music", seeds * len(texts))
    engine = generation.open_engine(checkpoints / "music", seeds * len(texts))
    try:
        speed = generation.speed_measures(engine)
        return generation.generate(engine, texts, seeds, CLIP_SECONDS, step), speed
    finally:
        engine.close()


def _music(stages: _Stages, generated: list[list[Mono]], held_out: list[sources.MusicSource]) -> Section:
    train = _render(stages, "source for the classifier", sources.pieces_of_groups("train", TRAIN_OF_GROUP))
    known = [source.piece for source in held_out]
    others = [piece for piece in sources.pieces_of_groups("test", HELD_OUT_OF_GROUP) if piece not in known]
    tested = [*held_out, *_render(stages, "more held-out source", others)]
    made = [(asked, clip) for asked, row in zip(music.PROMPTS, generated, strict=True) for clip in row]
    groups = [
        made,
        [(source.asked, source.waveform) for source in train],
        [(source.asked, source.waveform) for source in tested],
    ]
    step = stages.begin("listening", sum(map(len, groups)))
    heard: list[list[tuple[music.Asked, music.Heard]]] = []
    for group in groups:
        heard.append([])
        for asked, clip in group:
            heard[-1].append((asked, music.listen(clip, MUSIC_RATE)))
            step()
    return music.music_measures(heard[0], heard[1], heard[2])


def _sound(stages: _Stages, checkpoints: Path, seeds: int) -> Section:
    kinds = list(sounds.PROMPTS)
    step = stages.begin("generated sounds", seeds * len(kinds))
    engine: Engine = generation.open_engine(checkpoints / "sound", seeds * len(kinds))
    try:
        rows = generation.generate(engine, list(sounds.PROMPTS.values()), seeds, SOUND_SECONDS, step)
    finally:
        engine.close()
    return sounds.sound_measures(
        dict(zip(kinds, rows, strict=True)),
        sources.sounds("train", kinds, TRAIN_OF_KIND, SOUND_SECONDS),
        sources.sounds("test", kinds, HELD_OUT_OF_KIND, SOUND_SECONDS),
        SOUND_RATE,
    )


def _judge(
    stages: _Stages,
    checkpoints: Path,
    held_out: list[sources.MusicSource],
    coded: Coded,
    generated: list[list[Mono]],
    data: Path | None,
) -> Section:
    judge = Judge(resolve(str(checkpoints / "music")))
    clips: dict[str, list[tuple[Mono, int]]] = {
        SOURCE: [(source.waveform, MUSIC_RATE) for source in held_out],
        CODED: [(clip, MUSIC_RATE) for clip in coded.outputs["codec"]],
        GENERATED: [(clip, MUSIC_RATE) for row in generated for clip in row[:JUDGED_OF_PROMPT]],
    }
    if OTHER_SOUNDFONT.is_file():
        others = _render(stages, "another soundfont", [source.piece for source in held_out], OTHER_SOUNDFONT)
        clips["another soundfont"] = [(source.waveform, MUSIC_RATE) for source in others]
    if data is not None:
        clips["recordings"] = sources.recordings(data, CLIP_SECONDS)
    clips[NOISE] = [(clip, MUSIC_RATE) for clip in discriminators.noise_clips(int(CLIP_SECONDS * MUSIC_RATE))]
    step = stages.begin("discriminators", sum(map(len, clips.values())))
    scores: dict[str, list[float]] = {}
    for name, rows in clips.items():
        scores[name] = []
        for clip, rate in rows:
            scores[name].append(judge.realness(clip, rate))
            step()
    return discriminators.discriminator_measures(scores, judge.calibrated)


def _environment(seeds: int) -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.machine(),
        "Python": platform.python_version(),
        "torch": str(torch.__version__),
        "seeds": seeds,
    }
