"""`audiocraft-triton convert`: a checkpoint in a form that is smaller and can't run anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from audiocraft_triton.cli.console import console, fail
from audiocraft_triton.cli.options import PRECISIONS, Precision
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest


def convert(
    checkpoint: Annotated[
        str, typer.Option(help="demo, demo-sound, a directory, or a hub id: facebook/musicgen-small.")
    ],
    out: Annotated[Path, typer.Option(help="New folder to write into.")],
    lm: Annotated[Precision, typer.Option(help=f"Of the language model's weights. {PRECISIONS}")] = Precision.float16,
    rest: Annotated[Literal["float32", "float16"], typer.Option(help="Of all other weights.")] = "float16",
) -> None:
    """Writes a checkpoint as safetensors and JSON, smaller, and without anything that could run."""
    from audiocraft_triton.checkpoints.convert import convert as convert_checkpoint
    from audiocraft_triton.checkpoints.layout import resolve

    try:
        convert_checkpoint(resolve(checkpoint), out, lm=lm.value, rest=rest, report=console.print)
    except (CheckpointError, InvalidRequest) as error:
        fail(error, status=2)
