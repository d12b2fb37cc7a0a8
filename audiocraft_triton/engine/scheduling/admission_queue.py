"""Requests that wait for a slot: bounded, first come first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from audiocraft_triton.contract.errors import Overloaded
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.scheduling.preparation import Prepared


class AdmissionQueue:
    """A queue of (request, what it needs), for any number of callers and one engine thread.

    Args:
        places: requests that may wait beside those that have a slot.
        slots: requests that can run at once.
    """

    def __init__(self, places: int, slots: int) -> None:
        self._places = places
        self._slots = slots
        self._changed = threading.Condition()
        self._requests: deque[tuple[GenerationHandle, Prepared]] = deque()
        self._admitted = 0  # requests that are being prepared, wait or have a slot
        self._closed: str | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def reserve(self, *, wait: bool = False) -> None:
        """Takes a place, before a request is prepared.

        Args:
            wait: until there is one.

        Raises:
            Overloaded: too many are waiting.
            RuntimeError: the engine is closed.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed is not None or not self._is_full())
            if self._closed:
                raise RuntimeError(self._closed)
            if self._is_full():
                raise Overloaded(f"{self._places} requests are waiting already: try again later")
            self._admitted += 1

    def give_back(self) -> None:
        """Gives back the place of a request that could not be prepared, or that has left its slot."""
        with self._changed:
            self._admitted -= 1
            self._changed.notify_all()

    def enter(self, generation: GenerationHandle, prepared: Prepared) -> None:
        """Queues a request on the place that was reserved for it.

        Raises:
            RuntimeError: the engine was closed meanwhile.
        """
        with self._changed:
            if self._closed:
                self._admitted -= 1
                raise RuntimeError(self._closed)
            self._requests.append((generation, prepared))
            self._changed.notify_all()

    def next(self) -> tuple[GenerationHandle, Prepared] | None:
        """Takes out the request that has waited longest, for a slot; None where none waits."""
        with self._changed:
            return self._requests.popleft() if self._requests else None

    def drop(self, unwanted: Callable[[GenerationHandle], bool]) -> None:
        """Sends those away of whom `unwanted` is true."""
        with self._changed:
            if self._requests:
                before = len(self._requests)
                self._requests = deque(entry for entry in self._requests if not unwanted(entry[0]))
                self._admitted -= before - len(self._requests)
                self._changed.notify_all()

    def wait(self) -> bool:
        """Waits until somebody is here; False when the room is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closed is not None)
            return bool(self._requests)

    def close(self, because: BaseException | None = None) -> None:
        """Lets nobody in any more, and says why where the engine failed; who is here may stay."""
        with self._changed:
            self._closed = "the engine is closed" if because is None else f"the engine failed: {because}"
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return self._admitted >= self._places + self._slots
