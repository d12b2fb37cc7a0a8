"""Runs the gateway under uvicorn: how it listens, what it refuses before the app sees it, how it stops."""

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
"""Longer than what stands in front keeps idle connections (nginx: 60), so that it never picks one just closed."""
MAX_HEADER_BYTES = 64 * 1024

log = structlog.get_logger("gateway")


def serve(settings: Settings) -> None:
    """Serves until a signal; then what is in flight is finished first.

    Raises:
        ValueError: a setting can't be used, such as a port that is taken.
    """
    config = configuration(create_app(settings), settings)
    listener = _listen(settings)
    # uvicorn raises the signal that stopped it once more when all is finished: then this ends the process, in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    _Announcing(config, _url(listener), settings).run(sockets=[listener])


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app."""
    return uvicorn.Config(
        app,
        http="h11",  # httptools sets headers no limit
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
    """Says where it listens once it answers."""

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
