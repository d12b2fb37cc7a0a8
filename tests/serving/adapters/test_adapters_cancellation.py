"""The watcher notices each cancellation once, and never asks about a request that has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import FakeTriton

    from audiocraft_triton.serving.adapters.cancellation import Watcher


class Request:
    """A request that counts how often Triton is asked about it."""

    def __init__(self) -> None:
        self.gone = False
        self.asked = 0
        self.askers: set[str] = set()

    def is_cancelled(self) -> bool:
        self.asked += 1
        self.askers.add(threading.current_thread().name)
        return self.gone


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def watcher(triton: FakeTriton) -> Iterator[Watcher]:
    from audiocraft_triton.serving.adapters.cancellation import Watcher

    assert triton.warnings == []
    running = Watcher()
    yield running
    running.close()


def test_a_cancelled_request_is_reported_once_by_the_watchers_thread(watcher: Watcher) -> None:
    request, other, cancelled = Request(), Request(), []
    with watcher.watching(request, lambda: cancelled.append(1)), watcher.watching(other, lambda: cancelled.append(2)):
        _wait_until(lambda: request.asked > 2)
        request.gone = True
        _wait_until(lambda: cancelled)
        asked = other.asked
        _wait_until(lambda: other.asked > asked + 3)
    assert cancelled == [1]
    assert request.askers == {"cancellation"}


def test_triton_is_not_asked_about_a_request_that_has_ended(watcher: Watcher) -> None:
    slow, asking = Request(), threading.Event()

    def is_cancelled() -> bool:
        asking.set()
        time.sleep(0.05)
        slow.asked += 1
        return False

    slow.is_cancelled = is_cancelled  # type: ignore[method-assign]
    with watcher.watching(slow, lambda: None):
        assert asking.wait(10)
    asked = slow.asked
    assert asked == 1  # the block ended only after the answer to the question in progress
    time.sleep(0.1)
    assert slow.asked == asked


def test_one_requests_failure_leaves_the_others_watched(watcher: Watcher, triton: FakeTriton) -> None:
    bad, good, cancelled = Request(), Request(), threading.Event()
    bad.is_cancelled = lambda: 1 / 0  # type: ignore[assignment, method-assign]
    with watcher.watching(bad, lambda: None), watcher.watching(good, cancelled.set):
        good.gone = True
        assert cancelled.wait(10)
    assert len(triton.warnings) == 1
    assert "division by zero" in triton.warnings[0]


def test_an_idle_watcher_sleeps_and_a_closed_one_ends(watcher: Watcher) -> None:
    request = Request()
    with watcher.watching(request, lambda: None):
        _wait_until(lambda: request.asked)
    watcher.close()
    assert "cancellation" not in {thread.name for thread in threading.enumerate()}
