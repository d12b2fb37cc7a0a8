"""Answers requests that are refused before their bodies are read."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from audiocraft_triton.gateway.exchange import Refusal, exchange_of
from audiocraft_triton.gateway.problems import problem_response

SMALL_BODY = 64 * 1024
LINGER_SECONDS = 2.0


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    reason: Refusal,
    status: int,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
) -> None:
    """Sends a problem as the answer, and records the reason.

    A small body is simply read. With a large one, the connection is closed before the rest is read. Clients that send
    the whole body before they read would lose the answer if the connection closed at once, so the data that arrives in
    the next two seconds is discarded first.
    """
    exchange_of(scope).refusal = reason
    response = problem_response(status, title, detail, headers=headers, instance=scope["path"])
    if _has_small_body(scope):
        await response(scope, receive, send)
        return
    response.headers["Connection"] = "close"
    await send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_discard(receive), LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def whole_seconds(seconds: float) -> str:
    """Rounds up to whole seconds, for Retry-After, which takes no fractions."""
    return str(max(1, math.ceil(seconds)))


def declared_length(scope: Scope) -> int | None:
    """Returns the value of Content-Length; None where it is missing (a chunked body has none) or not a number."""
    value = Headers(scope=scope).get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _has_small_body(scope: Scope) -> bool:
    length = declared_length(scope)
    if length is None:
        return "transfer-encoding" not in Headers(scope=scope)
    return length <= SMALL_BODY


async def _discard(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
        pass
