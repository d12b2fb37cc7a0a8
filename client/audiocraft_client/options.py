"""Makes command line options from the generation parameters of the server's contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from audiocraft_client._contract import PARAMETERS, Parameter

_TYPES: dict[str, type] = {"BYTES": str, "FP32": float, "INT32": int, "INT64": int, "BOOL": bool}
_SHORT_NAMES = {"duration": ("-d",)}


def with_generation_options(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command an option for each generation parameter; it gets them as `**options`, None where not given.

    Args:
        left_out: parameters that make no sense for this command.
    """
    rows = [row for row in PARAMETERS if row.frontend == "both" and row.name not in ("text", *left_out)]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [row for row in signature.parameters.values() if row.kind is not inspect.Parameter.VAR_KEYWORD]
        # typer reads the signature, not the function.
        command.__signature__ = signature.replace(parameters=[*own, *map(_option, rows)])  # type: ignore[attr-defined]
        return command

    return decorate


def _option(row: Parameter) -> inspect.Parameter:
    flag = "--" + row.name.replace("_", "-")
    option = typer.Option(flag, *_SHORT_NAMES.get(row.name, ()), help=_help(row), show_default=False)
    kind: Any = Path if row.audio else _TYPES[row.datatype]
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(row.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _help(row: Parameter) -> str:
    notes = [row.bound] if row.bound else []
    if row.default:
        notes.append(f"server default: {row.default}")
    return f"{row.description} ({'; '.join(notes)})" if notes else row.description
