"""A real gateway in a thread, for the tests that need one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI


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


@contextmanager
def running(**settings: Any) -> Iterator[RunningGateway]:
    """A gateway with these settings, on a free port."""
    from audiocraft_triton.gateway.app import create_app
    from audiocraft_triton.gateway.http_server import configuration
    from audiocraft_triton.gateway.settings import Settings

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
