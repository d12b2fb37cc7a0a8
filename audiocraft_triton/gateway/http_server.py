"""Runs the gateway under uvicorn: listening, limits that apply before the app sees a request, and stopping."""

from __future__ import annotations

import signal
import socket
import sys

import structlog
import uvicorn
from fastapi import FastAPI

from audiocraft_triton.gateway.app import create_app
from audiocraft_triton.gateway.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than a proxy in front keeps idle connections (nginx: 60), so that it never reuses one just closed."""
MAX_HEADER_BYTES = 64 * 1024

log = structlog.get_logger("gateway")


def serve(settings: Settings) -> None:
    """Serves until a signal arrives, then finishes the requests in flight.

    Raises:
        ValueError: a setting can't be used, such as a port that is taken.
    """
    config = configuration(create_app(settings), settings)
    listener = _listen(settings)
    # uvicorn raises the signal that stopped it again once all requests are finished: these handlers end the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    _Announcing(config, _url(listener), settings).run(sockets=[listener])


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Makes the configuration with which uvicorn serves the app."""
    return uvicorn.Config(
        app,
        http="h11",  # httptools does not limit the size of headers
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(settings.drain_seconds),
        reset_contextvars=True,
    )


class _Announcing(uvicorn.Server):
    """Logs its address once it answers requests."""

    def __init__(self, config: uvicorn.Config, url: str, settings: Settings) -> None:
        super().__init__(config)
        self._url = url
        self._triton = settings.triton

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("listening", url=self._url, triton=self._triton)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ValueError(
            f"port {settings.port} on {settings.host} can't be used ({error.strerror}); choose another with --port, "
            "or --port 0 for a free one"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
