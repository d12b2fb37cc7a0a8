"""Detecting whether any connected client waits for an answer of the server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from audiocraft_triton.serving.connections import all_idle

PAUSE = 0.02
"""Longer than a tick of the kernel's clock for connections (4 ms, or 10 ms at its slowest)."""


@pytest.fixture(params=["127.0.0.1", "::1"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Opens another connection to a server; returns the client's and the server's end."""
    opened = [
        socket.create_server((request.param, 0), family=socket.AF_INET6 if ":" in request.param else socket.AF_INET)
    ]

    def connect() -> tuple[socket.socket, socket.socket]:
        caller = socket.create_connection(opened[0].getsockname()[:2])
        served, _ = opened[0].accept()
        opened.extend((caller, served))
        return caller, served

    yield connect
    for each in opened:
        each.close()


def exchange(sender: socket.socket, receiver: socket.socket) -> None:
    time.sleep(PAUSE)
    sender.sendall(b"something")
    assert receiver.recv(100) == b"something"


def test_a_port_without_connections_has_no_idle_ones() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not all_idle(server.getsockname()[1])


def test_an_answered_client_is_idle_and_one_with_a_request_is_not(
    connect: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    caller, served = connect()
    port = served.getsockname()[1]
    exchange(caller, served)
    assert not all_idle(port), "it asked"
    exchange(served, caller)
    assert all_idle(port), "the request was answered"
    exchange(caller, served)
    assert not all_idle(port), "it sent another request"


def test_one_waiting_client_among_idle_ones_is_noticed(
    connect: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    pairs = [connect() for _ in range(40)]
    port = pairs[0][1].getsockname()[1]
    for caller, served in pairs:
        exchange(caller, served)
        exchange(served, caller)
    assert all_idle(port)
    exchange(*pairs[17])
    assert not all_idle(port)
