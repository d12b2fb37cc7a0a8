"""Callers who give up: noticing it.

Triton tells a Python model that a caller is gone only when it asks, by a message to the server process. `Watcher` is
the one thread of a model that asks, for all requests under way, so that an engine's thread never does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import triton_python_backend_utils as pb_utils


class Watcher:
    """One thread that asks Triton whether the callers of the requests under way are still there."""

    PAUSE = 0.005
    """Seconds between two rounds over all requests."""
    PAUSE_PER_REQUEST = 0.0005
    """With many requests the pauses grow: a question takes some 0.1 ms, and the server's one thread for it."""

    def __init__(self) -> None:
        self._watches: set[_Watch] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cancellation", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, request: Any, cancel: Callable[[], None]) -> Iterator[None]:
        """Calls `cancel` once, from the watcher's thread, when the caller of `request` gives up during the block.

        The final response must be sent after the block: with it Triton frees what a question would then look at.
        """
        watch = _Watch(request, cancel)
        with self._changed:
            self._watches.add(watch)
            self._changed.notify()
        try:
            yield
        finally:
            self._forget(watch)
            watch.end()

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while watches := self._wait_for_watches():
            for watch in watches:
                try:
                    if watch.is_cancelled():
                        self._forget(watch)
                        watch.cancel()
                except Exception as error:  # one request's trouble must not leave the others unwatched
                    self._forget(watch)
                    pb_utils.Logger.log_warn(f"a cancellation was not passed on: {error}")
            time.sleep(max(self.PAUSE, self.PAUSE_PER_REQUEST * len(watches)))

    def _forget(self, watch: _Watch) -> None:
        with self._changed:
            self._watches.discard(watch)

    def _wait_for_watches(self) -> list[_Watch]:
        """The requests under way, as soon as there are any; none when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._watches or self._closed)
            return [] if self._closed else list(self._watches)


class _Watch:
    """One request under way."""

    def __init__(self, request: Any, cancel: Callable[[], None]) -> None:
        self.cancel = cancel
        self._request = request
        self._ended = False
        self._asking = threading.Lock()

    def is_cancelled(self) -> bool:
        """Whether the caller gave up; not asked any more after the end."""
        with self._asking:
            return not self._ended and bool(self._request.is_cancelled())

    def end(self) -> None:
        """Returns when no question is under way, and none will be."""
        with self._asking:
            self._ended = True
