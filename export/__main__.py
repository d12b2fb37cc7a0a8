"""`python -m export`: builds checkpoints; exporting them is `audiocraft-triton export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.checkpoints import demo_directory
from export.seeded_checkpoint import make_seeded_checkpoints

app = typer.Typer(help="Builds checkpoints in audiocraft's own layout.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps the command's name in the command line, though there is one command."""


@app.command("make-test-checkpoint")
def make_test_checkpoint(
    directory: Annotated[
        Path | None, typer.Option("--out", help="Folder to write music/ and sound/ into. Default: the demo's folder.")
    ] = None,
) -> None:
    """Builds small seeded checkpoints of the real architectures: random weights, the true file layout, seconds."""
    make_seeded_checkpoints(directory or demo_directory(), report=typer.echo)


if __name__ == "__main__":
    app(prog_name="python -m export")
