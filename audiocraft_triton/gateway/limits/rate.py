"""How often a caller may ask."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from limits import RateLimitItem, parse_many

MAX_REQUESTS = 10_000
"""The largest limit for one window: what a window remembers of one caller."""
REMEMBERED_CALLERS = 10_000
REMEMBERED_REQUESTS = 500_000


class MovingWindow:
    """Counts each caller's requests in the time just past.

    `limits` reads the limit; its own in-memory store isn't used, because that keeps every address it ever saw, and
    starts a thread that looks through all of them. Here the callers seen longest ago are forgotten first.

    Args:
        limits: all hold; none: any number of requests.
        clock: seconds that only grow.
    """

    def __init__(self, limits: Sequence[RateLimitItem], clock: Callable[[], float] = time.monotonic) -> None:
        self._text = ", ".join(str(limit) for limit in limits)
        self._limits = [(limit.amount, float(limit.get_expiry())) for limit in limits]
        self._longest = max((seconds for _, seconds in self._limits), default=0.0)
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._remembered = 0

    @classmethod
    def of(cls, text: str) -> MovingWindow:
        """From "60/minute", or several: "5/second; 60/minute".

        Raises:
            ValueError: it can't be read, or is more than is remembered of a caller.
        """
        if not text.strip():
            return cls(())
        try:
            limits = parse_many(text)
        except ValueError as error:
            raise ValueError(f'rate_limit={text!r}: write it like "60/minute" or "5/second; 60/minute"') from error
        if not all(1 <= limit.amount <= MAX_REQUESTS for limit in limits):
            raise ValueError(f"rate_limit={text!r}: must allow 1 to {MAX_REQUESTS:,} requests a window")
        return cls(limits)

    def __str__(self) -> str:
        """As an error says it: "60 per 1 minute"."""
        return self._text

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._times)

    def wait(self, caller: str) -> float:
        """Seconds until the caller may ask again. 0: it may now, and this request counts."""
        if not self._limits:
            return 0.0
        now = self._clock()
        times = self._times.setdefault(caller, deque())
        self._times.move_to_end(caller)
        while times and times[0] <= now - self._longest:
            times.popleft()
            self._remembered -= 1
        # A limit of n is reached when the n-th last request is still inside the window.
        waits = [times[-amount] + seconds - now for amount, seconds in self._limits if len(times) >= amount]
        wait = max(waits, default=0.0)
        if wait > 0:
            return wait
        times.append(now)
        self._remembered += 1
        self._forget()
        return 0.0

    def _forget(self) -> None:
        while len(self._times) > REMEMBERED_CALLERS or self._remembered > REMEMBERED_REQUESTS:
            _, times = self._times.popitem(last=False)
            self._remembered -= len(times)
