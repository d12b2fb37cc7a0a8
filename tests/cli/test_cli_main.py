"""The root command: what it lists, what it imports, what it says where something is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from audiocraft_triton import __version__
from audiocraft_triton.checkpoints import audiocraft_installation
from audiocraft_triton.cli import extras, main

HEAVY = ("torch", "numpy", "transformers", "audiocraft", "audiocraft_client", "fastapi", "pydantic_settings")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    code = f"""
import sys
from audiocraft_triton.cli.main import app
try:
    app([{option!r}], prog_name="audiocraft-triton")
except SystemExit as ended:
    assert not ended.code
print("imported:", sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown.endswith("imported: []\n")
    assert ("doctor" if option == "--help" else f"audiocraft-triton {__version__}") in shown


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_is_listed_and_explains_its_options(name: str) -> None:
    assert name in CliRunner().invoke(main.app, ["--help"]).output
    shown = CliRunner().invoke(main.app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    command = main.load_command(name)
    assert command.help
    assert all(parameter.help for parameter in command.params), name


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(main.app, ["sing"]).exit_code == 2


def test_a_requirement_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "requires", lambda _name: ['numpy>=1.26,<2; extra == "serve"', "typer"])
    monkeypatch.setattr(extras, "version", lambda _name: "2.1.0")
    refused = CliRunner().invoke(main.app, ["serve"])
    assert refused.exit_code == 1
    assert "serve needs numpy<2,>=1.26 (found 2.1.0); run: pip install 'audiocraft-triton[serve]'" in refused.stderr


def test_a_server_of_ones_own_makes_the_embedded_one_unnecessary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "requires", lambda _name: ['nvidia-pytriton==9999; extra == "serve"'])
    assert [str(item.requirement.name) for item in extras.unmet("serve")] == ["nvidia-pytriton"]
    monkeypatch.setenv("TRITON_ROOT", "/opt/tritonserver")
    assert extras.unmet("serve") == ()


def test_an_extra_requires_what_the_extras_in_it_require(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = [
        'torch; extra == "engine"',
        'audiocraft-triton[engine]; extra == "serve"',
        'nvidia-pytriton; extra == "serve" and sys_platform == "another"',
        'fastapi; extra == "gateway"',
    ]
    monkeypatch.setattr(extras, "requires", lambda _name: declared)
    assert [item.name for item in extras.requirements("serve")] == ["torch"]


def test_without_audiocraft_its_own_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise audiocraft_installation.PackageNotFoundError(name)

    monkeypatch.setattr(audiocraft_installation, "version", absent)
    refused = CliRunner().invoke(main.app, ["export"])
    assert refused.exit_code == 1
    assert "pip install --no-deps audiocraft==1.3.0 torchaudio==2.11.0 xformers==0.0.35" in refused.stderr


def test_a_shell_completes_without_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "requires", lambda _name: ['fastapi>=9999; extra == "gateway"'])
    monkeypatch.setenv("_AUDIOCRAFT_TRITON_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "audiocraft-triton gateway --")
    monkeypatch.setenv("COMP_CWORD", "2")
    completed = CliRunner().invoke(main.app, [], prog_name="audiocraft-triton")
    assert completed.exit_code == 0, completed.output
    assert completed.stderr == ""


def test_training_needs_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = main.importlib.util.find_spec
    monkeypatch.setattr(
        main.importlib.util, "find_spec", lambda name, *rest: None if name == "training" else find_spec(name, *rest)
    )
    refused = CliRunner().invoke(main.app, ["train-discriminators"])
    assert refused.exit_code == 1
    assert "train-discriminators runs in a checkout only" in refused.stderr
