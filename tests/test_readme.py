"""Every command of the README is run: shell lines and Python blocks as they stand, against the tests' server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_gateway import RunningGateway, running

from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text()
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: with a .venv as in the project, and nothing else."""
    path = tmp_path_factory.mktemp("readme")
    (path / ".venv").mkdir()
    (path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return path


@pytest.fixture(scope="module")
def gateway(server: EmbeddedServer) -> Iterator[RunningGateway]:
    with running(triton=server.grpc_url) as gateway:
        yield gateway


def _here(text: str, server: EmbeddedServer, gateway: RunningGateway) -> str:
    """The text with the default ports replaced by the running servers'."""
    for default, actual in zip(
        (8000, 8001, 8002, 8080),
        (server.http_port, server.grpc_port, server.metrics_port, gateway.port),
        strict=True,
    ):
        text = text.replace(f"localhost:{default}", f"127.0.0.1:{actual}")
    return text


def test_the_readme_has_commands() -> None:
    assert len(SHELL_BLOCKS) >= 5
    assert len(PYTHON_BLOCKS) >= 3


@pytest.mark.parametrize("block", SHELL_BLOCKS)
def test_a_shell_block_runs(server: EmbeddedServer, gateway: RunningGateway, folder: Path, block: str) -> None:
    # What the make targets do has tests of its own; here they only have to exist.
    targets = re.findall(r"^make (\S+)", block, re.MULTILINE)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=PROJECT, check=True, capture_output=True)
    commands = "\n".join(line for line in block.splitlines() if not line.startswith("make "))
    environment = {**os.environ, "AUDIOCRAFT_SERVER": server.grpc_url}
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _here(commands, server, gateway)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_a_python_block_runs(server: EmbeddedServer, gateway: RunningGateway, folder: Path, block: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _here(block, server, gateway)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_things_that_serve_prints_work(server: EmbeddedServer, folder: Path) -> None:
    from audiocraft_triton.cli.commands.serve import things_to_try

    text = things_to_try(server)
    curl = re.search(r"(curl .*?clip\.wav)\n", text, re.DOTALL)
    command = re.search(r"(\S*audiocraft-client .*)\n", text)
    python = re.search(r"3\. Python.*\n((?:   .*\n)+)", text)
    assert curl is not None
    assert command is not None
    assert python is not None
    (folder / "clip.wav").unlink(missing_ok=True)
    for shell in (curl[1], command[1]):
        subprocess.run(["bash", "-euo", "pipefail", "-c", shell], cwd=folder, check=True, timeout=120)
        assert (folder / "clip.wav").stat().st_size == 44 + 2 * 5 * 32_000
        (folder / "clip.wav").unlink()
    code = "\n".join(line[3:] for line in python[1].splitlines())
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=120, capture_output=True)
    assert (folder / "clip.wav").exists()


def test_options_defaults_are_the_readmes_ports() -> None:
    options = Options()
    assert (options.http_port, options.grpc_port, options.metrics_port) == (8000, 8001, 8002)
