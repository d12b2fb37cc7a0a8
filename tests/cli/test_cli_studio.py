"""`audiocraft-triton studio`: server and gateway side by side, and neither outlives the other or the command."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audiocraft_triton.cli.commands.studio import choose_port, exit_status, run_studio
from audiocraft_triton.serving.embedded.server import ServerFailed

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer


def test_the_page_is_there_until_ctrl_c_and_then_the_gateway_is_gone(server: EmbeddedServer) -> None:
    told: list[str] = []

    def on_news(text: str) -> None:
        told.append(text)
        page = _get(_address(text))
        assert "<html" in page
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_studio(server, choose_port(0), on_news)
    with pytest.raises(urllib.error.URLError):
        _get(_address(told[0]))


def test_a_gateway_that_dies_ends_the_command_with_its_status(server: EmbeddedServer) -> None:
    told: list[str] = []

    def on_news(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            os.kill(_child_with("gateway"), signal.SIGKILL)

    assert run_studio(server, choose_port(0), on_news) == 128 + signal.SIGKILL
    assert "the gateway ended by itself" in told[1]


def test_a_server_that_dies_ends_the_command_and_the_gateway(server: EmbeddedServer) -> None:
    told: list[str] = []
    assert run_studio(_Dying(server.grpc_url), choose_port(0), told.append) == 3
    assert "tritonserver ended by itself with status 3" in told[1]
    with pytest.raises(urllib.error.URLError):
        _get(_address(told[0]))


def test_a_port_that_is_taken_is_said_before_the_server_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailed, match=f"port {port} on 127.0.0.1 can't be used") as failed:
            choose_port(port)
    assert failed.value.bad_option


@pytest.mark.parametrize(("status", "expected"), [(0, 1), (3, 3), (-9, 137)])
def test_ending_by_itself_is_never_a_success(status: int, expected: int) -> None:
    assert exit_status(status) == expected


class _Dying:
    """A server that answers, and whose end is told at once."""

    def __init__(self, grpc_url: str) -> None:
        self.grpc_url = grpc_url
        self.wait: Callable[[], int] = lambda: 3


def _address(text: str) -> str:
    found = re.search(r"studio (http://\S+)", text)
    assert found is not None, text
    return found[1]


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def _child_with(command: str) -> int:
    """The process of ours that runs this command of `audiocraft-triton`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and command.encode() in line:
            return int(folder.name)
    raise AssertionError(f"no child runs {command}")
