"""The engine in this process: plain Python submits the requests, each from its own thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton import Engine, GenerationRequest
from audiocraft_triton.contract.parameters import WHOLE_CLIP
from benchmarks.contenders.contender import Clips, Job, precision
from benchmarks.measure import at_once

_MAX_WAITING = 1024
"""More than any measured number of requests, so that none is rejected."""
_SWITCH_SECONDS = 0.0005
"""The served engine's setting; otherwise the callers' threads delay the engine's thread for 5 ms."""


@contextmanager
def opened(job: Job) -> Iterator[EngineAlone]:
    """Loads the checkpoint; closes the engine at the end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    engine = Engine(str(job.checkpoint), device=job.device, dtype=job.dtype, max_waiting=_MAX_WAITING)
    try:
        yield EngineAlone(engine, job)
    finally:
        engine.close()
        sys.setswitchinterval(before)


class EngineAlone:
    """See `Contender`."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self._engine = engine
        self._job = job
        self.versions: dict[str, str] = {}

    @property
    def description(self) -> str:
        return (
            f"this project's engine in the benchmark's own process, {precision(self._job)}; "
            f"{self._engine.slots} requests at once, more wait"
        )

    def generate(self, requests: int, seconds: float) -> Clips:
        self._engine.metrics.snapshot()  # drops the steps observed before
        asked = self._requests(requests, seconds, WHOLE_CLIP)
        waveforms, wall = at_once([partial(self._whole, request) for request in asked])
        steps = self._engine.metrics.snapshot().step_seconds
        return Clips(waveforms, self._engine.sample_rate, wall, median(steps) if steps else None)

    def first_audio(self, requests: int, seconds: float, chunk_seconds: float) -> list[float]:
        asked = self._requests(requests, seconds, chunk_seconds)
        return at_once([partial(self._time_to_first, request) for request in asked])[0]

    def _requests(self, requests: int, seconds: float, chunk_seconds: float) -> list[GenerationRequest]:
        return [
            GenerationRequest(text, duration=seconds, chunk_seconds=chunk_seconds, seed=self._job.seed + index)
            for index, text in enumerate(self._job.prompts(requests))
        ]

    def _whole(self, request: GenerationRequest) -> NDArray[np.float32]:
        waveform: NDArray[np.float32] = self._engine.submit(request, decode=True).result().waveform[0]
        return waveform

    def _time_to_first(self, request: GenerationRequest) -> float:
        start = time.perf_counter()
        chunks = iter(self._engine.submit(request, decode=True))
        next(chunks)
        first = time.perf_counter() - start
        for _ in chunks:
            pass
        return first
