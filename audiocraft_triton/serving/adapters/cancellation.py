"""Notices that callers cancel their requests or disconnect.

A Python model must ask Triton whether a request was cancelled, by a message to the server process. `Watcher` is the
one thread of a model that asks, for all requests in flight, so that an engine's thread never has to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import triton_python_backend_utils as pb_utils


class Watcher:
    """One thread that asks Triton which of the requests in flight were cancelled."""

    PAUSE = 0.005
    """Seconds between two rounds over all requests."""
    PAUSE_PER_REQUEST = 0.0005
    """With many requests the pauses grow: each question takes about 0.1 ms of the one server thread that answers."""

    def __init__(self) -> None:
        self._watches: set[_Watch] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cancellation", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, request: Any, cancel: Callable[[], None]) -> Iterator[None]:
        """Calls `cancel` once, from the watcher's thread, if `request` is cancelled during the block.

        Send the final response after the block: with it Triton frees the objects that a question would read.
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
                except Exception as error:  # one request's failure must not leave the others unwatched
                    self._forget(watch)
                    pb_utils.Logger.log_warn(f"a cancellation was not passed on: {error}")
            time.sleep(max(self.PAUSE, self.PAUSE_PER_REQUEST * len(watches)))

    def _forget(self, watch: _Watch) -> None:
        with self._changed:
            self._watches.discard(watch)

    def _wait_for_watches(self) -> list[_Watch]:
        """Waits for requests in flight and returns them; returns none once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._watches or self._closed)
            return [] if self._closed else list(self._watches)


class _Watch:
    """One request in flight."""

    def __init__(self, request: Any, cancel: Callable[[], None]) -> None:
        self.cancel = cancel
        self._request = request
        self._ended = False
        self._asking = threading.Lock()

    def is_cancelled(self) -> bool:
        """Tells whether the request was cancelled; does not ask Triton after the end."""
        with self._asking:
            return not self._ended and bool(self._request.is_cancelled())

    def end(self) -> None:
        """Returns once no question is in progress and none will follow."""
        with self._asking:
            self._ended = True
