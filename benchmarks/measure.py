"""Timing: concurrent calls, repeated runs, percentiles."""

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
    """Percentiles of a set of durations, with linear interpolation.

    Attributes:
        p50, p95, p99: seconds.
        samples: number of durations; 20 of them say nothing about the 99th percentile.
    """

    p50: float
    p95: float
    p99: float
    samples: int


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Computes the percentiles of durations in seconds; raises ValueError if there are none."""
    if not seconds:
        raise ValueError("no durations to take percentiles of")
    p50, p95, p99 = (float(value) for value in np.percentile(seconds, (50, 95, 99)))
    return Percentiles(p50, p95, p99, len(seconds))


def at_once(calls: Sequence[Callable[[], Result]]) -> tuple[list[Result], float]:
    """Runs each call in its own thread, all started together.

    Returns:
        Their results, and the seconds from the common start to the end of the last call.

    Raises:
        Exception: the exception of the first failed call, once all calls have ended.
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
    """Runs a call of a few seconds three times and a longer one once or twice. The caller warms up first."""
    results: list[Result] = []
    start = time.perf_counter()
    while len(results) < MOST_RUNS and time.perf_counter() - start < ENOUGH_SECONDS:
        results.append(run())
    return results
