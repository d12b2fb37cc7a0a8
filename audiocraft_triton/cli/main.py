"""`audiocraft-triton`: one command for everything that is installed. Exit status 2 means bad input.

A command's module is imported when it is called, so that `--help` needs neither torch nor any extra.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from audiocraft_triton import __version__
from audiocraft_triton.cli.console import fail
from audiocraft_triton.cli.extras import install_command, summary, unmet


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its function, of the same name, is in `audiocraft_triton.cli.commands`, in a module of that name.

    Attributes:
        summary: its line in the list of commands.
        extras: what it needs beyond the bare package.
        of_checkout: whether its code lies in the checkout only.
    """

    summary: str
    extras: tuple[str, ...] = ()
    of_checkout: bool = False


COMMANDS = {
    "demo": Entry("Runs the main job once through a real server, and shows what comes out.", ("serve",)),
    "serve": Entry("Starts the embedded tritonserver and keeps it until Ctrl-C.", ("serve",)),
    "studio": Entry("Starts the embedded server, the gateway and its studio page.", ("serve", "gateway")),
    "gateway": Entry("Serves the REST API and the studio page in front of a running Triton.", ("gateway",)),
    "export": Entry("Converts EnCodec and the discriminators to verified TorchScript.", ("engine",)),
    "fetch": Entry("Downloads checkpoints at one commit, checks and converts them.", ("engine",)),
    "convert": Entry("Writes a checkpoint as safetensors and JSON.", ("engine",)),
    "train-discriminators": Entry(
        "Trains the discriminators of `analyze` for your codec and audio.", ("train",), of_checkout=True
    ),
    "doctor": Entry("Names what is missing, wrong or slow on this machine."),
}


def load_command(name: str) -> TyperCommand:
    """The command with its options; needs its extras.

    Raises:
        ModuleNotFoundError: an extra is missing.
    """
    module = import_module(f"audiocraft_triton.cli.commands.{_identifier(name)}")
    own = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    own.command(name)(getattr(module, _identifier(name)))
    return cast(TyperCommand, typer.main.get_command(own))


class _Deferred(TyperCommand):
    """Stands in the list for a command, and becomes it when it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        assert self.name is not None
        if extra.get("resilient_parsing") and _missing_extras(COMMANDS[self.name]):
            return super().make_context(info_name, args, parent, **extra)  # completion by a shell: it has no options
        _refuse_if_incomplete(self.name)
        return load_command(self.name).make_context(info_name, args, parent, **extra)


class _Commands(TyperGroup):
    """The commands in the order above, those whose extras are missing after the others."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> TyperCommand | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        missing = _missing_extras(entry)
        panel = escape(f"Not installed: {install_command(*missing)}") if missing else None
        return _Deferred(cmd_name, callback=None, help=entry.summary, rich_help_panel=panel)


app = typer.Typer(
    cls=_Commands,
    help="NVIDIA Triton serving for Meta AudioCraft: MusicGen, AudioGen, EnCodec, discriminators.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"audiocraft-triton {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


def _missing_extras(entry: Entry) -> tuple[str, ...]:
    return tuple(extra for extra in entry.extras if unmet(extra))


def _refuse_if_incomplete(name: str) -> None:
    entry = COMMANDS[name]
    if entry.of_checkout and importlib.util.find_spec("training") is None:
        fail(f"{name} runs in a checkout only: its code, training/, is no part of the package", status=1)
    if missing := _missing_extras(entry):
        packages = summary(item for extra in missing for item in unmet(extra))
        fail(f"{name} needs {packages}; run: {install_command(*missing)}", status=1)
    if {"engine", "serve", "train"} & set(entry.extras):
        from audiocraft_triton.checkpoints.audiocraft_installation import AudiocraftMissing, check_installed

        try:
            check_installed()
        except AudiocraftMissing as error:
            fail(error, status=1)


def _identifier(name: str) -> str:
    return name.replace("-", "_")
