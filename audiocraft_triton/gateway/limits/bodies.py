"""Limits the size of a request's body, and the memory that all bodies take together."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiocraft_triton.gateway.exchange import Refusal
from audiocraft_triton.gateway.limits.refusing import declared_length, refuse
from audiocraft_triton.gateway.problems import RETRY_SECONDS

LARGEST_AT_ONCE = 4
"""Number of bodies of the largest size that may be held at once; more smaller ones fit in the same memory."""


class BodyLimit:
    """Refuses bodies over a size: by Content-Length before reading, or by counting bytes where that header is missing.

    Args:
        max_bytes: largest size of one body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._memory = _BodyMemory(max_bytes, LARGEST_AT_ONCE * max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (declared_length(scope) or 0) > self._memory.max_bytes:
            await self._refuse(scope, receive, send, "body")
            return
        body = _Body(self._memory, receive, send)
        try:
            await self._app(scope, body.receive, body.send)
        except Exception:
            if body.refused is None:
                raise
        finally:
            body.forget()
        if body.refused is not None and not body.answered:
            await self._refuse(scope, receive, send, body.refused)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, reason: Refusal) -> None:
        if reason == "body":
            await refuse(
                scope, receive, send, reason=reason, status=413, title="The body is too large",
                detail=f"body={_size(scope)}: must be at most {self._memory.max_bytes:,} bytes",
            )  # fmt: skip
        else:
            await refuse(
                scope, receive, send, reason=reason, status=503, title="Service unavailable",
                detail=f"other requests' bodies fill the {self._memory.max_held:,} bytes kept for bodies; try again",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )  # fmt: skip


class BodyRefused(Exception):
    """Stops the reading of a body that is refused."""


class _BodyMemory:
    """The memory that all bodies share; sizes in bytes."""

    def __init__(self, max_bytes: int, max_held: int) -> None:
        self.max_bytes = max_bytes
        self.max_held = max_held
        self.held = 0


class _Body:
    """One body on its way in, and the answer on its way out."""

    def __init__(self, memory: _BodyMemory, receive: Receive, send: Send) -> None:
        self._memory = memory
        self._receive = receive
        self._send = send
        self._size = 0
        self.refused: Refusal | None = None
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self._size += size
        self._memory.held += size
        if self._size > self._memory.max_bytes:
            self.refused = "body"
        elif size and self._memory.held > self._memory.max_held:
            self.refused = "busy"
        if self.refused is not None:
            raise BodyRefused
        return message

    async def send(self, message: Message) -> None:
        # Drops the app's own answer to a body that it could not read to its end; the refusal explains it better.
        if self.refused is None or self.answered:
            self.answered = True
            await self._send(message)

    def forget(self) -> None:
        self._memory.held -= self._size


def _size(scope: Scope) -> str:
    length = declared_length(scope)
    return "more" if length is None else f"{length:,} bytes"
