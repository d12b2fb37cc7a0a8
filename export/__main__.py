"""`python -m export`: builds and converts checkpoints; exporting their models is `audiocraft-triton export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.checkpoints import resolve
from engine.errors import CheckpointError, InvalidInput
from export.convert import Precision, convert
from export.seeded_checkpoint import make_seeded_checkpoints

app = typer.Typer(help="Builds and converts checkpoints.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("make-test-checkpoint")
def make_test_checkpoint(
    directory: Annotated[Path, typer.Option("--out", help="Folder to write music/ and sound/ into.")],
) -> None:
    """Builds small seeded checkpoints of the real architectures: random weights, audiocraft's file layout, seconds."""
    make_seeded_checkpoints(directory, report=typer.echo)


@app.command("convert")
def convert_checkpoint(
    checkpoint: Annotated[
        str, typer.Option(help="demo, demo-sound, a directory, or a hub id: facebook/musicgen-small.")
    ],
    out: Annotated[Path, typer.Option(help="New folder to write into.")],
    lm: Annotated[
        Precision, typer.Option(help="Of the language model's weights; int8: with a scale for each row.")
    ] = "float16",
    rest: Annotated[Literal["float32", "float16"], typer.Option(help="Of all other weights.")] = "float16",
) -> None:
    """Writes a checkpoint as safetensors and JSON, smaller, and without anything that could run."""
    try:
        convert(resolve(checkpoint), out, lm=lm, rest=rest, report=typer.echo)
    except (CheckpointError, InvalidInput) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app(prog_name="python -m export")
