"""`audiocraft-triton train-discriminators`: progress while it trains, a table of how good it got, what to type next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from audiocraft_triton.checkpoints.layout import DISCRIMINATORS_FILE, resolve
from training.discriminators import (
    REPORT_FILE,
    SCORING,
    DiscriminatorRecipe,
    train_discriminators,
)


def run_training(
    codec: str,
    data: Path,
    out: Path,
    console: Console,
    *,
    generated: Path | None = None,
    run: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    batch: int | None = None,
    recipe: DiscriminatorRecipe = SCORING,
) -> bool:
    """Trains, or goes on training, and shows the result.

    Args:
        codec: checkpoint's name.
        data: folder with source audio.
        out: folder for `discriminators.bin` and the report.
        console: where progress and result are shown.
        generated: folder with generated audio.
        run: folder of state and logs; None: `training` in `out`.
        minutes: stop after this long.
        steps, batch: in place of the recipe's.
        recipe: the rest of the hyperparameters.

    Returns:
        Whether all steps are made.

    Raises:
        InvalidRequest, CheckpointError: what `training.discriminators.train_discriminators` raises.
    """
    checkpoint = resolve(codec)
    run = run or out / "training"
    recipe = replace(recipe, steps=steps or recipe.steps, batch=batch or recipe.batch)
    with Progress(
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        bar = progress.add_task("training", total=recipe.steps)
        finished = train_discriminators(
            data, checkpoint, run, out, recipe, generated=generated, minutes=minutes,
            report=lambda line: console.print(line, style="dim", markup=False),
            on_step=lambda done, _steps: progress.update(bar, completed=done),
        )  # fmt: skip
    found = json.loads((out / REPORT_FILE).read_text(encoding="utf-8"))
    console.print(quality_table(found["test"]))
    if not finished:
        console.print(f"{found['steps']:,} of {recipe.steps:,} steps are made; the same command goes on from here.")
    console.print(
        f"{out / DISCRIMINATORS_FILE} is written, with its calibration; logs: tensorboard --logdir {run}\n\n"
        "Serve them:\n"
        f"  audiocraft-triton export --checkpoint {codec} --discriminators {out}\n"
        "  audiocraft-triton serve",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return finished


def quality_table(test: Mapping[str, Mapping[str, Any]]) -> Table:
    """The figures of the test files, a row for each kind of clip that source audio was to be told from."""
    table = Table(title="source audio against …, on files that were never learned from")
    table.add_column("…")
    for heading in ("clips", "mean realness", "AUC ↑", "ECE ↓", "right verdicts ↑"):
        table.add_column(heading, justify="right")
    for name, found in test.items():
        table.add_row(
            name, str(found["clips"]), f"{found['realness']:.2f}", f"{found['auc']:.3f}", f"{found['ece']:.3f}",
            f"{found['accuracy']:.0%}",
        )  # fmt: skip
    table.caption = "AUC: 0.5 guesses, 1 always tells. ECE: how far realness is from the true share of source audio."
    return table
