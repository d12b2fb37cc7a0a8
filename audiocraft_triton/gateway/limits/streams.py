"""Limits how many streams a caller may hold at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, contextmanager
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from audiocraft_triton.gateway.exchange import Exchange, exchange_of
from audiocraft_triton.gateway.problems import problem_response

RETRY_SECONDS = 5


class TooManyStreams(Exception):
    """A caller holds as many streams as allowed."""


class StreamCounts:
    """The open streams of each caller; only callers that hold one are remembered.

    Args:
        limit: streams per caller.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        """Returns the number of callers that hold streams."""
        return len(self._held)

    @contextmanager
    def one_more(self, caller: str) -> Generator[None, None, None]:
        """Counts a stream of the caller inside the block.

        Raises:
            TooManyStreams: the caller holds as many streams as allowed.
        """
        if self._held[caller] >= self.limit:
            raise TooManyStreams(f"{caller} holds {self.limit} streams, as many as allowed; wait for one to end")
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]


class StreamPlace:
    """One request's place among its caller's streams.

    An endpoint takes the place once it knows that it answers with a stream; it is released when the answer has ended.
    """

    def __init__(self, counts: StreamCounts, exchange: Exchange, held: ExitStack) -> None:
        self._counts = counts
        self._exchange = exchange
        self._held = held

    def take(self) -> None:
        """Counts this answer as a stream.

        Raises:
            TooManyStreams: the caller holds as many streams as allowed.
        """
        self._held.enter_context(self._counts.one_more(self._exchange.client))
        self._exchange.is_stream = True


async def stream_place(request: Request) -> AsyncGenerator[StreamPlace, None]:
    """FastAPI dependency that releases the place after the answer was sent."""
    with ExitStack() as held:
        yield StreamPlace(request.app.state.streams, exchange_of(request.scope), held)


Place = Annotated[StreamPlace, Depends(stream_place, scope="request")]


async def refuse_stream(request: Request, error: Exception) -> Response:
    """Answers TooManyStreams with status 429."""
    exchange_of(request.scope).refusal = "streams"
    return problem_response(
        429, "Too many streams at once", str(error),
        headers={"Retry-After": str(RETRY_SECONDS)}, instance=request.url.path,
    )  # fmt: skip
