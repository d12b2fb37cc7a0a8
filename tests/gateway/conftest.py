"""A real gateway in front of the session's real Triton."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serving.server import EmbeddedServer


class RunningGateway:
    """A gateway that answers.

    Attributes:
        app: the ASGI app.
        url: such as "http://127.0.0.1:41234".
    """

    def __init__(self, app: FastAPI, url: str) -> None:
        self.app = app
        self.url = url

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.Client:
        """A caller who waits as long as a busy machine needs."""
        return httpx.Client(base_url=self.url, timeout=300, **options)


StartGateway = Callable[..., RunningGateway]


@contextmanager
def running(**settings: Any) -> Iterator[RunningGateway]:
    """A gateway with these settings, on a free port."""
    from gateway.app import create_app
    from gateway.http_server import configuration
    from gateway.settings import Settings

    told = Settings(**settings)
    app = create_app(told)
    configured = configuration(app, told)
    configured.port, configured.timeout_graceful_shutdown = 0, 10
    server = uvicorn.Server(configured)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive(), "the gateway ended before it answered"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield RunningGateway(app, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="session")
def gateway(server: EmbeddedServer) -> Iterator[RunningGateway]:
    """One gateway with default limits."""
    with running(triton=server.grpc_url) as gateway:
        yield gateway


@pytest.fixture
def start_gateway(server: EmbeddedServer) -> Iterator[StartGateway]:
    """Starts gateways with settings of their own, such as `start_gateway(streams_per_client=1)`."""
    with ExitStack() as stack:

        def start(**settings: Any) -> RunningGateway:
            return stack.enter_context(running(**{"triton": server.grpc_url, **settings}))

        yield start


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client
