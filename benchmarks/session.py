"""One run of the command: checkpoint, measurements, and their table, result file and chart."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.chart import draw
from benchmarks.contenders.contender import Job
from benchmarks.environment import Hardware, hardware, versions
from benchmarks.report import print_table
from benchmarks.results import compare_with_engine, write_json
from benchmarks.runner import Outcome, Plan, measure_all
from benchmarks.shapes import SHAPES, ready_checkpoint

# As wide as the table, because rich wraps at 80 columns when the output is not a terminal.
_TABLE_WIDTH = 132


def run_session(
    plan: Plan, shape: str, checkpoints: Path, device: torch.device, dtype: str | None, seed: int,
    out: Path, progress: Console,
) -> bool:  # fmt: skip
    """Makes the planned measurements, prints the table, writes the result file and the chart.

    Args:
        plan: the measurements to make.
        shape: name of the sizes.
        checkpoints: folder of the checkpoints with random weights.
        device, dtype, seed: see `Job`.
        out: folder for the results.
        progress: console for progress.

    Returns:
        Whether every measurement succeeded.

    Raises:
        CheckpointError: the checkpoint's folder holds other files.
        OSError: a folder can't be written.
    """
    started = datetime.now(timezone.utc)

    def say(text: str) -> None:
        seconds = (datetime.now(timezone.utc) - started).total_seconds()
        progress.print(f"{seconds:6.1f} s  {text}", markup=False, soft_wrap=True)

    out.mkdir(parents=True, exist_ok=True)
    job = Job(ready_checkpoint(shape, checkpoints, device, say), SHAPES[shape], device, dtype, seed)
    machine = hardware(device)
    outcome = measure_all(plan, job, say)
    compare_with_engine(outcome.rows)
    facts = {
        "date": started.isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "hardware": asdict(machine),
        "versions": {**versions(), **outcome.versions},
        "settings": _settings(plan, job, shape),
        "contenders": outcome.descriptions,
    }
    _publish(facts, outcome, machine, out / f"{device.type}-{shape}")
    return all(row.error is None for row in outcome.rows)


def _publish(facts: dict[str, Any], outcome: Outcome, machine: Hardware, stem: Path) -> None:
    settings = facts["settings"]
    title = f"{settings['shape']} on {machine}"
    lengths = f"clips of {settings['seconds']:g} s, streamed in chunks of {settings['chunk_seconds']:g} s"
    if settings["batch_seconds"] != settings["seconds"]:
        lengths += f", audiocraft and transformers {settings['batch_seconds']:g} s"
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    print_table(console, outcome.rows, outcome.descriptions, f"{title}; {lengths}")
    table, picture = stem.with_suffix(".json"), stem.with_suffix(".png")
    write_json(table, facts, outcome.rows)
    draw(picture, outcome.rows, title, lengths)
    console.print(f"wrote {table} and {picture}", markup=False, soft_wrap=True)


def _settings(plan: Plan, job: Job, shape: str) -> dict[str, Any]:
    return {
        "shape": shape,
        "sizes": asdict(job.shape),
        "device": job.device.type,
        "dtype": job.dtype,
        "seed": job.seed,
        **asdict(plan),
    }
