"""How many streams a caller may hold at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

STREAM_PATHS = frozenset({"/generate/music/stream", "/generate/audio/stream", "/v1/audio/speech"})


class StreamCounts:
    """The open streams of each caller; only those who hold one are remembered.

    Args:
        limit: streams for each caller.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many callers hold streams."""
        return len(self._held)

    @contextmanager
    def one_more(self, caller: str) -> Generator[bool, None, None]:
        """Holds a stream inside the block; False where the caller has as many as it may."""
        if self._held[caller] >= self.limit:
            yield False
            return
        self._held[caller] += 1
        try:
            yield True
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
