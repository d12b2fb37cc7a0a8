"""How large a request's body may be, and how much all bodies together may hold in memory."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiocraft_triton.gateway.exchange import Refusal
from audiocraft_triton.gateway.limits.refusing import declared_length, refuse
from audiocraft_triton.gateway.problems import RETRY_SECONDS

LARGEST_AT_ONCE = 4
"""So many bodies of the largest size may be held at once; of smaller ones, as many as fit in the same memory."""


class BodyLimit:
    """Refuses bodies over a size: by Content-Length before reading any, and by counting where it says nothing.

    Args:
        max_bytes: of one body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._room = _Room(max_bytes, LARGEST_AT_ONCE * max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (declared_length(scope) or 0) > self._room.max_bytes:
            await self._refuse(scope, receive, send, "body")
            return
        body = _Body(self._room, receive, send)
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
                detail=f"body={_size(scope)}: must be at most {self._room.max_bytes:,} bytes",
            )  # fmt: skip
        else:
            await refuse(
                scope, receive, send, reason=reason, status=503, title="Not now",
                detail=f"the bodies being read fill the {self._room.max_held:,} bytes there are for them; try again",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )  # fmt: skip


class BodyRefused(Exception):
    """Ends the reading of a body that is refused."""


class _Room:
    """What all bodies share."""

    def __init__(self, max_bytes: int, max_held: int) -> None:
        self.max_bytes = max_bytes
        self.max_held = max_held
        self.held = 0


class _Body:
    """One body on its way in, and the answer on its way out."""

    def __init__(self, room: _Room, receive: Receive, send: Send) -> None:
        self._room = room
        self._receive = receive
        self._send = send
        self._size = 0
        self.refused: Refusal | None = None
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self._size += size
        self._room.held += size
        if self._size > self._room.max_bytes:
            self.refused = "body"
        elif size and self._room.held > self._room.max_held:
            self.refused = "busy"
        if self.refused is not None:
            raise BodyRefused
        return message

    async def send(self, message: Message) -> None:
        # Whatever the app says of a body that it could not read to its end: the refusal says it better.
        if self.refused is None or self.answered:
            self.answered = True
            await self._send(message)

    def forget(self) -> None:
        self._room.held -= self._size


def _size(scope: Scope) -> str:
    length = declared_length(scope)
    return "more" if length is None else f"{length:,} bytes"
