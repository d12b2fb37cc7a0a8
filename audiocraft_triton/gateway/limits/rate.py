"""Limits how many requests a caller may send in a window of time."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from limits import RateLimitItem, parse_many

MAX_REQUESTS = 10_000
"""The largest limit for one window, which remembers the times of that many requests of a caller."""
REMEMBERED_CALLERS = 10_000
REMEMBERED_REQUESTS = 500_000


class MovingWindow:
    """Counts each caller's requests in the most recent seconds.

    The `limits` package parses the limit. Its in-memory store isn't used, because that keeps every address it ever saw,
    and starts a thread that scans all of them. This class forgets the callers seen longest ago first.

    Args:
        limits: all of them apply; without any, the number of requests is not limited.
        clock: returns monotonic seconds.
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
        """Parses one limit, such as "60/minute", or several, such as "5/second; 60/minute".

        Raises:
            ValueError: the text can't be parsed, or a limit exceeds MAX_REQUESTS.
        """
        if not text.strip():
            return cls(())
        try:
            limits = parse_many(text)
        except ValueError as error:
            raise ValueError(f'rate_limit={text!r}: write it like "60/minute" or "5/second; 60/minute"') from error
        if not all(1 <= limit.amount <= MAX_REQUESTS for limit in limits):
            raise ValueError(f"rate_limit={text!r}: must allow 1 to {MAX_REQUESTS:,} requests per window")
        return cls(limits)

    def __str__(self) -> str:
        """Returns the limits in words, for errors: "60 per 1 minute"."""
        return self._text

    def __len__(self) -> int:
        """Returns the number of remembered callers."""
        return len(self._times)

    def wait(self, caller: str) -> float:
        """Returns the seconds until the caller may send a request. 0 means now; then this request is counted."""
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
