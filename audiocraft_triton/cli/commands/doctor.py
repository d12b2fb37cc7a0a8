"""`audiocraft-triton doctor`: what is missing, wrong or slow on this machine, and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from audiocraft_triton.cli.console import console
from audiocraft_triton.cli.doctor.report import as_json, as_table, can_serve, examine
from audiocraft_triton.cli.options import Repository
from audiocraft_triton.serving.repository import default_repository


def doctor(
    repository: Repository,
    as_machine_text: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Names what is missing, wrong or slow on this machine, and what to do. Exit status 0: it can serve; 1: it can't.

    slow: it works, slowly. missing: it is not there. wrong: it is there and will not do.
    """
    with console.status("looking around, some seconds"):
        findings = examine(repository, _cache(), is_default=repository == default_repository())
    if as_machine_text:
        typer.echo(as_json(findings))
    else:
        Console().print(as_table(findings))
    raise typer.Exit(0 if can_serve(findings) else 1)


def _cache() -> Path:
    """Where the hub's client keeps what it downloads."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
