"""Generates clips of many prompts and seeds together with the engine, like any caller's requests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.request import GenerationRequest
from training.measures.results import Measure
from training.measures.signal import Mono

CLIP_SECONDS = 10.0
SPEED_PROMPT = "calm solo piano in C major"

Advance = Callable[[], None]


def generate(
    engine: Engine, prompts: Sequence[str], seeds: int, seconds: float, advance: Advance = lambda: None
) -> list[list[Mono]]:
    """Generates each prompt with seeds 0 … `seeds` - 1 and MusicGen's default sampling.

    Args:
        engine: an engine whose admission queue holds all requests.
        prompts: texts.
        seeds: number of clips per prompt.
        seconds: length of each clip.
        advance: called after each clip.

    Returns:
        float32 [samples] by prompt, then by seed.
    """
    running = [
        [engine.submit(GenerationRequest(prompt, duration=seconds, seed=seed)) for seed in range(seeds)]
        for prompt in prompts
    ]
    clips: list[list[Mono]] = []
    for row in running:
        clips.append([])
        for generation in row:
            clips[-1].append(generation.result().waveform[0])
            advance()
    return clips


def open_engine(checkpoint: Path, requests: int) -> Engine:
    """Opens an engine on the CPU in float32 that accepts `requests` requests at once."""
    return Engine(str(checkpoint), device="cpu", dtype="float32", max_waiting=requests)


def speed_measures(engine: Engine) -> list[Measure]:
    """Measures the seconds that one request takes for 10 s of music on this machine, with no other requests."""
    engine.warm_up()
    started = time.perf_counter()
    engine.generate(SPEED_PROMPT, duration=CLIP_SECONDS, seed=0)
    elapsed = time.perf_counter() - started
    cores = len(os.sched_getaffinity(0))
    return [
        Measure("speed", "10 s of music, one request", elapsed, unit="s", note=f"this CPU, {cores} cores, float32"),
        Measure("speed", "times real time", CLIP_SECONDS / elapsed),
    ]
