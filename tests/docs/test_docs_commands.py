"""Every command and every Python block of the documentation runs, as it stands, against real servers.

Ports are those of the tests' servers, the hub is a small one on loopback, and a training is cut short. The
targets of `make` are looked up and not run: what they do has tests of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiocraft_client import Client
from documentation import NOT_RUN, PAGES, PROJECT, Fence, fences, name_of
from fake_hub import running_hub
from running_gateway import RunningGateway, running

from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options

CHECKPOINT = "facebook/musicgen-small"
SHORTER = {"--steps 1000 --batch 48": "--steps 2 --batch 1"}
"""What takes minutes on a GPU, and the same in seconds on a CPU."""
PATIENCE = 600
"""Seconds that a page's commands may take on a busy machine; an idle one needs ten or twenty."""
RUN = [page for page in PAGES if any(fence.language in ("sh", "python") for fence in fences(page))]
COMMANDS = re.compile(
    r"^(sudo )?(\w+=\S+ )*(\S*/)?(make|pip|python\d?|docker|helm|kubectl|curl|git|cp|audiocraft-\w+|\S+\.sh)\b",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page's commands run.

    Attributes:
        folder: with a .venv and the scripts of export/ as in the project, and what the pages' examples read.
        environment: of the commands.
        replaced: what stands in a page -> what is run.
    """

    folder: Path
    environment: dict[str, str]
    replaced: dict[str, str]

    def here(self, text: str) -> str:
        """A page's text as it is run."""
        for shown, actual in self.replaced.items():
            text = text.replace(shown, actual)
        return text

    def run(self, *command: str) -> None:
        """Runs a command, which must succeed."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert result.returncode == 0, f"{command[-1]}\n{result.stdout}{result.stderr}"


@pytest.fixture(scope="module")
def gateway(server: EmbeddedServer) -> Iterator[RunningGateway]:
    with running(triton=server.grpc_url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def hub(demo_checkpoints: Path) -> Iterator[str]:
    with running_hub(demo_checkpoints / "music", CHECKPOINT) as server:
        yield server.url


@pytest.fixture
def place(server: EmbeddedServer, gateway: RunningGateway, hub: str, demo_checkpoints: Path, tmp_path: Path) -> Place:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "export").symlink_to(PROJECT / "export")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "training").symlink_to(demo_checkpoints)
    ports = {8000: server.http_port, 8001: server.grpc_port, 8002: server.metrics_port, 8080: gateway.port}
    environment = {
        **{name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"},
        "PATH": f"{tmp_path / '.venv/bin'}:{os.environ['PATH']}",
        "AUDIOCRAFT_SERVER": server.grpc_url,
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "hub"),
    }
    replaced = {f"localhost:{shown}": f"127.0.0.1:{actual}" for shown, actual in ports.items()}
    return Place(tmp_path, environment, {**replaced, **SHORTER})


@pytest.fixture
def my_audio(tmp_path: Path) -> Path:
    """Twelve files of one second: notes."""
    folder = tmp_path / "my_audio"
    folder.mkdir()
    rate = 16_000
    time = np.arange(rate) / rate
    for index in range(12):
        tone = 0.3 * np.sin(2 * np.pi * 110 * 2 ** (index / 6) * time) * np.exp(-3 * time)
        soundfile.write(folder / f"{index}.wav", tone, rate)
    return folder


@pytest.mark.usefixtures("my_audio")
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_what_a_page_shows_runs(place: Place, page: Path) -> None:
    for fence in fences(page):
        if fence.language == "python":
            place.run(sys.executable, "-c", place.here(fence.text))
        elif fence.language == "sh":
            _run_shell(place, fence)


def _run_shell(place: Place, fence: Fence) -> None:
    commands: list[str] = []
    for command in re.sub(r"\\\n\s*", "", fence.text).splitlines():
        if target := re.match(r"(?:sudo )?make (\S+)", command):
            subprocess.run(["make", "-n", target[1]], cwd=PROJECT, check=True, capture_output=True)
        elif "audiocraft-triton serve" in command:
            place.run("bash", "-euo", "pipefail", "-c", place.here("\n".join(commands)))
            commands = []
            _serve(place, command)
        else:
            commands.append(command)
    if commands:
        place.run("bash", "-euo", "pipefail", "-c", place.here("\n".join(commands)))


def _serve(place: Place, command: str) -> None:
    """Starts a server on free ports, asks it for a clip, and stops it as Ctrl-C does."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec env {command} --http-port 0 --grpc-port 0 --metrics-port 0"],
        cwd=place.folder,
        env=place.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if ready := re.search(r"ready: .* gRPC (\S+)", line):
                with Client(ready[1]) as client:
                    assert client.music("calm solo piano", duration=0.2).duration == pytest.approx(0.2)
                break
        else:
            pytest.fail("".join(said))
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(60) == 0, rest
    finally:
        process.kill()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_that_is_not_run_says_so(page: Path) -> None:
    for fence in fences(page):
        marked = fence.above.startswith(NOT_RUN) and fence.above.endswith("*")
        assert fence.language in ("sh", "python", "text"), f"{fence.language!r}: every block says what it is"
        if fence.language == "text":
            assert marked == bool(COMMANDS.search(fence.text)), fence
        else:
            assert not marked, fence


def test_the_readme_shows_how_to_call_it() -> None:
    languages = [fence.language for fence in fences(PROJECT / "README.md")]
    assert languages.count("sh") >= 3
    assert languages.count("python") >= 2


def test_the_things_that_serve_prints_work(server: EmbeddedServer, place: Place) -> None:
    from audiocraft_triton.cli.commands.serve import things_to_try

    text = things_to_try(server)
    curl = re.search(r"(curl .*?clip\.wav)\n", text, re.DOTALL)
    command = re.search(r"(\S*audiocraft-client .*)\n", text)
    python = re.search(r"3\. Python.*\n((?:   .*\n)+)", text)
    assert curl is not None
    assert command is not None
    assert python is not None
    clip = place.folder / "clip.wav"
    for shell in (curl[1], command[1]):
        place.run("bash", "-euo", "pipefail", "-c", shell)
        assert clip.stat().st_size == 44 + 2 * 5 * 32_000
        clip.unlink()
    place.run(sys.executable, "-c", "\n".join(line[3:] for line in python[1].splitlines()))
    assert clip.exists()


def test_the_default_ports_are_those_of_the_documentation() -> None:
    options = Options()
    assert (options.http_port, options.grpc_port, options.metrics_port) == (8000, 8001, 8002)
