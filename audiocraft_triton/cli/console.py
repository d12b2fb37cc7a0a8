"""Output of all commands on stderr: a server's log line by line, and errors in red with an exit status."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.log import LogLine

console = Console(stderr=True, highlight=False)
_STYLES = {"WARNING": "yellow", "ERROR": "red", "FATAL": "bold red"}


def show(line: LogLine) -> None:
    """Prints a line of a server's log."""
    console.print(line.text, style=_STYLES.get(line.level, "dim"), markup=False)


def fail(error: Exception | str, status: int) -> NoReturn:
    """Prints an error and ends the command with an exit status; 2 means bad input."""
    console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(status)


def stop_on_sigterm() -> None:
    """Makes SIGTERM end this command like Ctrl-C: cleanly, with the server stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGINT itself may be ignored, under nohup
