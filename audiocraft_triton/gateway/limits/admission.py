"""Decides, before a body is read, whether a request may go on: key, rate, streams."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from audiocraft_triton.gateway.exchange import exchange_of
from audiocraft_triton.gateway.limits.callers import Caller, Callers
from audiocraft_triton.gateway.limits.rate import MovingWindow
from audiocraft_triton.gateway.limits.refusing import refuse, whole_seconds
from audiocraft_triton.gateway.limits.streams import STREAM_PATHS, StreamCounts

# The page and the documentation, which ask for the key; what kubelet and Prometheus ask, without one. /metrics counts
# requests by route and knows no text, key or address.
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/health", "/metrics", "/docs", "/redoc", "/openapi.json"})
OPEN_FOLDERS = ("/static/", "/docs-assets/")
STREAM_RETRY_SECONDS = 5


class Admission:
    """Lets requests through that have a right to be served.

    Args:
        callers: who may call.
        rate: how often. It counts requests without a right key too, by address, so that guessing is slow.
        streams: how many streams at once.
    """

    def __init__(self, app: ASGIApp, callers: Callers, rate: MovingWindow, streams: StreamCounts) -> None:
        self._app = app
        self._callers = callers
        self._rate = rate
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        caller = self._callers.identify(scope)
        exchange_of(scope).client = caller.name
        wait = self._rate.wait(caller.name)
        if wait > 0:
            await self._refuse_rate(scope, receive, send, wait)
        elif not caller.admitted:
            await self._refuse_key(scope, receive, send)
        elif scope["path"] in STREAM_PATHS:
            await self._stream(scope, receive, send, caller)
        else:
            await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        with self._streams.one_more(caller.name) as may:
            if may:
                await self._app(scope, receive, send)
                return
        await refuse(
            scope, receive, send, reason="streams", status=429, title="Too many streams at once",
            detail=f"{caller.name} holds {self._streams.limit} streams, as many as allowed; wait for one to end",
            headers={"Retry-After": str(STREAM_RETRY_SECONDS)},
        )  # fmt: skip

    async def _refuse_rate(self, scope: Scope, receive: Receive, send: Send, wait: float) -> None:
        await refuse(
            scope, receive, send, reason="rate", status=429, title="Too many requests",
            detail=f"at most {self._rate} are allowed; come back in {whole_seconds(wait)} seconds",
            headers={"Retry-After": whole_seconds(wait)},
        )  # fmt: skip

    async def _refuse_key(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(
            scope, receive, send, reason="key", status=401, title="An API key is needed",
            detail="send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`; there was none, or not a right one",
            headers={"WWW-Authenticate": 'Bearer realm="audiocraft-triton"'},
        )  # fmt: skip


def is_open(path: str) -> bool:
    """Whether anyone may ask for a path, as often as they like."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)
