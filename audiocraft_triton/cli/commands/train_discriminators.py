"""`audiocraft-triton train-discriminators`: progress while it trains, a table of how good it got, what to type next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from audiocraft_triton.checkpoints.layout import DISCRIMINATORS_FILE, resolve
from audiocraft_triton.cli.console import console, fail, stop_on_sigterm
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from training import discriminators


def train_discriminators(
    codec: Annotated[
        str,
        typer.Option(help="Whose codec output is to be told from source audio: demo, a directory or a hub id."),
    ],
    data: Annotated[
        Path,
        typer.Option(help="Folder with at least 10 files of source audio: wav, flac, ogg, mp3, aiff; any sample rate."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for discriminators.bin and discriminators_report.json.")],
    generated: Annotated[
        Path | None,
        typer.Option(help="Folder with at least 10 generated clips: to tell what the language model makes as well."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--state", help="Folder of state and TensorBoard logs. Default: training, in OUT.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so long, with exit status 3; run the same command again to resume."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps in all. Default: 1,000, for minutes on a GPU.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pairs of source and fake a step. Default: 48; on a CPU try 8.")
    ] = None,
) -> None:
    """Trains the three discriminators of `analyze` for your codec and audio, and calibrates their scores.

    They learn to tell two-second windows of source audio from the same audio through the codec, and from generated
    clips if you give some. A tenth of the files calibrates the scores, so that in a mix of as many source clips as
    fakes about 80 % of those with realness 0.8 are source; another tenth tests them. The same command goes on where
    it was stopped.

    Example: audiocraft-triton train-discriminators --codec demo --data music --out mine --minutes 10
    """
    stop_on_sigterm()
    try:
        finished = run_training(
            codec, data, out, generated=generated, run=run, minutes=minutes, steps=steps, batch=batch
        )
        if not finished:
            raise typer.Exit(3)
    except (CheckpointError, InvalidRequest) as error:
        fail(error, status=2)
    except KeyboardInterrupt:
        fail("interrupted; run the same command again to resume from the last saved minute", status=130)


def run_training(
    codec: str,
    data: Path,
    out: Path,
    *,
    generated: Path | None = None,
    run: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    batch: int | None = None,
    recipe: discriminators.DiscriminatorRecipe = discriminators.SCORING,
) -> bool:
    """Trains, or goes on training, and shows the result.

    Args:
        codec: checkpoint's name.
        data: folder with source audio.
        out: folder for `discriminators.bin` and the report.
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
        finished = discriminators.train_discriminators(
            data, checkpoint, run, out, recipe, generated=generated, minutes=minutes,
            report=lambda line: console.print(line, style="dim", markup=False),
            on_step=lambda done, _steps: progress.update(bar, completed=done),
        )  # fmt: skip
    found = json.loads((out / discriminators.REPORT_FILE).read_text(encoding="utf-8"))
    console.print(quality_table(found["test"]))
    if not finished:
        console.print(f"{found['steps']:,} of {recipe.steps:,} steps are done; run the same command again to resume.")
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
