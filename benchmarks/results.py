"""The result file: one JSON object.

schema      1
date        when the run began, UTC, ISO 8601
command     the command line
hardware    cpu, cores (that the process may use), gpu (null on a CPU run), gpu_memory_gib
versions    python, torch, numpy, commit (null outside git, "…+changes" for an edited tree), and of each contender
            measured its own: tritonserver, audiocraft, transformers
settings    shape (name), sizes (of the shape), device, dtype (null: each contender's own), seed, contenders,
            requests, streams, seconds (length of a clip), batch_seconds (the same for audiocraft and transformers),
            chunk_seconds (length of a streamed chunk)
contenders  name -> how it ran, in a sentence
results     a list, one entry for each contender and number of requests at once:
    contender, requests, clip_seconds
    throughput      null where it was not measured
        wall_seconds            until the last clip was complete; median of `runs`
        runs                    wall seconds of each timed run; a warm-up is dropped
        step_ms                 one decoding step (1/50 s of audio, of all requests at once): the engine's own
                                observation, median; of the others wall time over frames, EnCodec included;
                                null where the engine observed none
        realtime                seconds of audio of all requests, by wall second
        realtime_per_request    the same of one request
    first_audio     seconds from asking to the first chunk: p50, p95, p99 over `samples` streams; null for who
                    does not stream: the first audio comes with the last, after throughput.wall_seconds
    engine_ratio    the engine's realtime over this one's, same number of requests, same run; null without both
    cost_percent    of triton only: how much of the engine's own realtime is lost on the way
    error           why a number is missing; null otherwise
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Percentiles

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast whole clips came; see the module's text."""

    wall_seconds: float
    runs: list[float]
    step_ms: float | None
    realtime: float
    realtime_per_request: float


@dataclass(slots=True)
class Row:
    """One contender at one number of requests; see the module's text."""

    contender: str
    requests: int
    clip_seconds: float
    throughput: Throughput | None = None
    first_audio: Percentiles | None = None
    engine_ratio: float | None = None
    cost_percent: float | None = None
    error: str | None = None


def compare_with_engine(rows: Sequence[Row]) -> None:
    """Fills in what relates a row to the engine's own at the same number of requests."""
    engine = {row.requests: row.throughput for row in rows if row.contender == "engine" and row.throughput}
    for row in rows:
        if row.throughput is None or row.contender == "engine" or row.requests not in engine:
            continue
        row.engine_ratio = engine[row.requests].realtime / row.throughput.realtime
        if row.contender == "triton":
            row.cost_percent = 100 * (1 - 1 / row.engine_ratio)


def write_json(path: Path, facts: dict[str, Any], rows: Sequence[Row]) -> None:
    """Writes the result file: what is known of the run, then its rows."""
    content = {"schema": SCHEMA, **facts, "results": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
