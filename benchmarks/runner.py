"""Measures one contender after the other; a contender that fails loses only its own figures."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from benchmarks.contenders import contender_opener
from benchmarks.contenders.contender import (
    Clips,
    Contender,
    Job,
    StreamingContender,
)
from benchmarks.measure import Percentiles, percentiles, repeated
from benchmarks.results import Row, Throughput
from training.architecture import FRAME_RATE

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The measurements to make.

    Attributes:
        contenders: names, in order.
        requests: numbers of concurrent clips; throughput is measured at each.
        streams: numbers of concurrent streams; the time to first audio is measured at each.
        seconds: length of a clip.
        batch_seconds: the same for audiocraft and transformers.
        chunk_seconds: length of a streamed chunk.
    """

    contenders: Sequence[str]
    requests: Sequence[int]
    streams: Sequence[int]
    seconds: float
    batch_seconds: float
    chunk_seconds: float

    def clip_seconds(self, contender: str) -> float:
        """Returns the length of this contender's clips."""
        return self.batch_seconds if contender in ("audiocraft", "transformers") else self.seconds


@dataclass(slots=True)
class Outcome:
    """All results.

    Attributes:
        rows: by contender and number of requests, in order.
        descriptions: how each opened contender runs.
        versions: versions of the contenders' software.
    """

    rows: list[Row]
    descriptions: dict[str, str]
    versions: dict[str, str]


def measure_all(plan: Plan, job: Job, say: Say) -> Outcome:
    """Measures all contenders; records an exception of a contender in its rows instead of raising it."""
    outcome = Outcome([], {}, {})
    for name in plan.contenders:
        error = _measure_contender(name, plan, job, outcome, say)
        if error is not None:
            _record_failure(name, error, plan, outcome)
        # A contender's memory is free only once nothing references it, including a traceback.
        gc.collect()
        if job.device.type == "cuda":
            torch.cuda.empty_cache()
    return outcome


def _record_failure(name: str, error: str, plan: Plan, outcome: Outcome) -> None:
    """Adds rows with the error for a contender that didn't open; one that failed at its end keeps its figures."""
    measured = [row for row in outcome.rows if row.contender == name]
    if measured:
        measured[-1].error = measured[-1].error or error
    else:
        outcome.rows += [Row(name, number, plan.clip_seconds(name), error=error) for number in plan.requests]


def _measure_contender(name: str, plan: Plan, job: Job, outcome: Outcome, say: Say) -> str | None:
    """Measures a contender; returns the error if it could not be opened or closed."""
    seconds = plan.clip_seconds(name)
    say(f"{name}: loading")
    try:
        with contender_opener(name)(job) as contender:
            outcome.descriptions[name] = contender.description
            outcome.versions.update(contender.versions)
            streams = plan.streams if isinstance(contender, StreamingContender) else ()
            for requests in sorted({*plan.requests, *streams}):
                row = Row(name, requests, seconds)
                outcome.rows.append(row)
                _measure_row(row, contender, plan, say)
    except Exception as error:
        return _told(error, name, say)
    return None


def _measure_row(row: Row, contender: Contender, plan: Plan, say: Say) -> None:
    what = f"{row.contender}, {row.requests} at once"
    try:
        if row.requests in plan.requests:
            say(f"{what}: whole clips of {row.clip_seconds:g} s")
            row.throughput = _throughput(row, contender)
        if row.requests in plan.streams and isinstance(contender, StreamingContender):
            say(f"{what}: time to first audio")
            row.first_audio = _first_audio(row, contender, plan.chunk_seconds)
    except Exception as error:
        row.error = _told(error, what, say)


def _throughput(row: Row, contender: Contender) -> Throughput:
    def run() -> Clips:
        clips = contender.generate(row.requests, row.clip_seconds)
        _check(clips, row)
        return clips

    run()  # at full length, because codecs prepare separately for each length
    runs = repeated(run)
    wall = median(clips.wall_seconds for clips in runs)
    steps = [clips.step_seconds for clips in runs if clips.step_seconds is not None]
    realtime = row.requests * row.clip_seconds / wall
    return Throughput(
        wall_seconds=wall,
        runs=[clips.wall_seconds for clips in runs],
        step_ms=1000 * median(steps) if steps else None,
        realtime=realtime,
        realtime_per_request=realtime / row.requests,
    )


def _first_audio(row: Row, contender: StreamingContender, chunk_seconds: float) -> Percentiles:
    contender.first_audio(row.requests, min(row.clip_seconds, 2 * chunk_seconds), chunk_seconds)
    runs = repeated(lambda: contender.first_audio(row.requests, row.clip_seconds, chunk_seconds))
    return percentiles([seconds for run in runs for seconds in run])


def _check(clips: Clips, row: Row) -> None:
    """Raises RuntimeError unless all clips are complete, because the speed of incomplete clips means nothing."""
    expected = row.clip_seconds * clips.sample_rate
    frame = clips.sample_rate / FRAME_RATE
    for waveform in clips.waveforms:
        if abs(len(waveform) - expected) > frame or not np.isfinite(waveform).all():
            seconds = len(waveform) / clips.sample_rate
            raise RuntimeError(f"a clip of {row.clip_seconds:g} s is {seconds:g} s long, or not finite")
    if len(clips.waveforms) != row.requests:
        raise RuntimeError(f"{row.requests} clips were requested, but {len(clips.waveforms)} returned")


def _told(error: Exception, what: str, say: Say) -> str:
    message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    say(f"{what}: failed: {message}")
    return message
