"""`audiocraft-triton export`: a checkpoint's codec and discriminators as TorchScript, in a model repository."""

from __future__ import annotations

from typing import Annotated

import typer

from audiocraft_triton.cli.console import console, fail
from audiocraft_triton.cli.options import Repository
from audiocraft_triton.cli.preparation import export_if_needed
from audiocraft_triton.contract.errors import CheckpointError


def export(
    repository: Repository,
    checkpoint: Annotated[
        str,
        typer.Option(
            help="demo, demo-sound, a directory in audiocraft's layout, or a hub id: facebook/musicgen-small."
        ),
    ] = "demo",
    discriminators: Annotated[
        str | None,
        typer.Option(help="Checkpoint whose discriminators.bin to export. Default: the same, else the demo's."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Export even if what is there is up to date.")] = False,
) -> None:
    """Converts EnCodec and the three discriminators to TorchScript, each verified against audiocraft before writing."""
    try:
        export_if_needed(checkpoint, repository, discriminators, force=force, report=console.print)
    except CheckpointError as error:
        fail(error, status=2)
