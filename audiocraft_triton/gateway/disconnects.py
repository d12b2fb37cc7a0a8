"""Ends the work for a client that disconnects at once, down to its slot on the GPU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, TypeVar

import structlog
from audiocraft_client import AudioCraftError
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


class Disconnected(Exception):
    """The client disconnected, so nobody reads the answer."""


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Awaits `work`, and cancels it if the client disconnects, which cancels its call to Triton.

    The request's body must have been read before.

    Raises:
        Disconnected: the client disconnected.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Disconnected
        return working.result()
    finally:
        await _cancelled(working, gone)


class AudioStream(Response):
    """A response whose body is sent while it is made.

    A stream that fails midway is broken off without the end mark of chunked encoding, so that no client takes it for a
    complete clip. `pieces`, and the `source` that they are made from, are closed in every case.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        source: AsyncGenerator[Any, None],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        self._generators = (pieces, source)
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except AudioCraftError as error:
            log.error("stream broken off", path=scope["path"], error=str(error))
        finally:
            await _cancelled(sending, gone)
            for generator in self._generators:
                await generator.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._generators[0]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
