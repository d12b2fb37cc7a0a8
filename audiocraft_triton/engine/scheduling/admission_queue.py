"""A bounded queue of requests that wait for a slot, first in, first out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from audiocraft_triton.contract.errors import Overloaded
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.scheduling.preparation import Prepared


class AdmissionQueue:
    """A queue of requests and their prepared inputs, for any number of callers and one engine thread.

    Args:
        places: requests that may wait in addition to those in slots.
        slots: requests that can run at once.
    """

    def __init__(self, places: int, slots: int) -> None:
        self._places = places
        self._slots = slots
        self._changed = threading.Condition()
        self._requests: deque[tuple[GenerationHandle, Prepared]] = deque()
        self._admitted = 0  # requests that are being prepared, are waiting or have a slot
        self._closed: str | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def reserve(self, *, wait: bool = False) -> None:
        """Reserves a place before a request is prepared.

        Args:
            wait: whether to wait until there is a place.

        Raises:
            Overloaded: too many requests are waiting.
            RuntimeError: the engine is closed.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed is not None or not self._is_full())
            if self._closed:
                raise RuntimeError(self._closed)
            if self._is_full():
                raise Overloaded(f"{self._places} requests are already waiting: try again later")
            self._admitted += 1

    def give_back(self) -> None:
        """Returns the place of a request that could not be prepared, or that has left its slot."""
        with self._changed:
            self._admitted -= 1
            self._changed.notify_all()

    def enter(self, generation: GenerationHandle, prepared: Prepared) -> None:
        """Queues a request in the place that was reserved for it.

        Raises:
            RuntimeError: the engine was closed in the meantime.
        """
        with self._changed:
            if self._closed:
                self._admitted -= 1
                raise RuntimeError(self._closed)
            self._requests.append((generation, prepared))
            self._changed.notify_all()

    def next(self) -> tuple[GenerationHandle, Prepared] | None:
        """Removes and returns the request that has waited longest; None if none is waiting."""
        with self._changed:
            return self._requests.popleft() if self._requests else None

    def drop(self, unwanted: Callable[[GenerationHandle], bool]) -> None:
        """Removes the requests for which `unwanted` is true."""
        with self._changed:
            if self._requests:
                before = len(self._requests)
                self._requests = deque(entry for entry in self._requests if not unwanted(entry[0]))
                self._admitted -= before - len(self._requests)
                self._changed.notify_all()

    def wait(self) -> bool:
        """Waits until a request is in the queue; returns False if the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closed is not None)
            return bool(self._requests)

    def close(self, because: BaseException | None = None) -> None:
        """Refuses further requests, giving the reason if the engine failed; waiting requests may stay."""
        with self._changed:
            self._closed = "the engine is closed" if because is None else f"the engine failed: {because}"
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return self._admitted >= self._places + self._slots
