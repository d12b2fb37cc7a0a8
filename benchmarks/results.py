"""The result file: one JSON object.

schema      1
date        when the run began, UTC, ISO 8601
command     the command line
hardware    cpu, cores (that the process may use), gpu (null on a CPU run), gpu_memory_gib
versions    python, torch, numpy, commit (null outside git, "…+changes" for an edited tree), and the software of the
            measured contenders: tritonserver, audiocraft, transformers
settings    shape (name), sizes (of the shape), device, dtype (null: each contender's own), seed, contenders,
            requests, streams, seconds (length of a clip), batch_seconds (the same for audiocraft and transformers),
            chunk_seconds (length of a streamed chunk)
contenders  name -> a sentence on how it ran
results     a list, one entry for each contender and number of concurrent requests:
    contender, requests, clip_seconds
    throughput      null if it was not measured
        wall_seconds            until the last clip was complete; median of `runs`
        runs                    wall seconds of each timed run; a warm-up is dropped
        step_ms                 one decoding step (1/50 s of audio for all requests together): for the engine the
                                median of its own observations, or null if it observed none; for the others wall
                                time over frames, EnCodec included
        realtime                seconds of audio per wall second, over all requests
        realtime_per_request    the same for one request
    first_audio     seconds from the request to the first chunk: p50, p95, p99 over `samples` streams; null for a
                    contender that does not stream: its first audio comes after throughput.wall_seconds
    engine_ratio    the engine's realtime over this contender's at the same number of requests in the same run; null
                    if one of them is missing
    cost_percent    for triton only: the share of the engine's own realtime that is lost
    error           the reason for a missing number; null otherwise
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
    """The speed of whole clips; the module's docstring explains the fields."""

    wall_seconds: float
    runs: list[float]
    step_ms: float | None
    realtime: float
    realtime_per_request: float


@dataclass(slots=True)
class Row:
    """One contender at one number of requests; the module's docstring explains the fields."""

    contender: str
    requests: int
    clip_seconds: float
    throughput: Throughput | None = None
    first_audio: Percentiles | None = None
    engine_ratio: float | None = None
    cost_percent: float | None = None
    error: str | None = None


def compare_with_engine(rows: Sequence[Row]) -> None:
    """Fills in the fields that compare a row with the engine's row at the same number of requests."""
    engine = {row.requests: row.throughput for row in rows if row.contender == "engine" and row.throughput}
    for row in rows:
        if row.throughput is None or row.contender == "engine" or row.requests not in engine:
            continue
        row.engine_ratio = engine[row.requests].realtime / row.throughput.realtime
        if row.contender == "triton":
            row.cost_percent = 100 * (1 - 1 / row.engine_ratio)


def write_json(path: Path, facts: dict[str, Any], rows: Sequence[Row]) -> None:
    """Writes the result file: the facts about the run, then its rows."""
    content = {"schema": SCHEMA, **facts, "results": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
