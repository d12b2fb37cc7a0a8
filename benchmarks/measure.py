"""Timing: many callers at once, repeated runs, percentiles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

MOST_RUNS = 3
ENOUGH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a set of durations in seconds; between two of them linearly interpolated.

    Attributes:
        p50, p95, p99: seconds.
        samples: how many durations there were: 20 say nothing about the 99th percentile.
    """

    p50: float
    p95: float
    p99: float
    samples: int


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Raises ValueError where there is nothing to take percentiles of."""
    if not seconds:
        raise ValueError("no durations to take percentiles of")
    p50, p95, p99 = (float(value) for value in np.percentile(seconds, (50, 95, 99)))
    return Percentiles(p50, p95, p99, len(seconds))


def at_once(calls: Sequence[Callable[[], Result]]) -> tuple[list[Result], float]:
    """Runs each call in a thread of its own, all started together.

    Returns:
        their results, and the seconds from the common start to the last one's end.

    Raises:
        Exception: the first failed call's, once all have ended.
    """
    started: list[float] = []
    barrier = threading.Barrier(len(calls), action=lambda: started.append(time.perf_counter()))

    def wait_and_call(call: Callable[[], Result]) -> Result:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls), thread_name_prefix="caller") as threads:
        pending = [threads.submit(wait_and_call, call) for call in calls]
    seconds = time.perf_counter() - started[0]
    return [future.result() for future in pending], seconds


def repeated(run: Callable[[], Result]) -> list[Result]:
    """Runs what takes seconds three times, what takes longer once or twice. Warm up before."""
    results: list[Result] = []
    start = time.perf_counter()
    while len(results) < MOST_RUNS and time.perf_counter() - start < ENOUGH_SECONDS:
        results.append(run())
    return results
