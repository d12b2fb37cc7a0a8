"""The socket between the two faces of a generation model: calls are answered, hanging up cancels, nothing is left."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from audiocraft_triton.contract.errors import Cancelled
from audiocraft_triton.serving.adapters import link
from audiocraft_triton.serving.adapters.link import Call, Caller, Listener

PATIENCE = 30


@pytest.fixture
def model() -> str:
    return f"model_of_{os.getpid()}_{threading.get_ident()}"


@pytest.fixture
def listening(model: str) -> Iterator[Callable[[Callable[[Call], Any]], Listener]]:
    """Starts listeners, which are closed at the end."""
    started: list[Listener] = []

    def listen(answer: Callable[[Call], Any]) -> Listener:
        started.append(Listener(model, answer))
        return started[-1]

    yield listen
    for listener in started:
        listener.close()


def test_every_call_gets_its_own_answer(model: str, listening: Any) -> None:
    listening(lambda call: {"doubled": call.values["number"] * 2, "array": np.full(100_000, call.values["number"])})
    caller = Caller(model)

    def ask(number: int) -> bool:
        with caller.calling() as call:
            answer = call.ask({"number": number})
        return bool(answer["doubled"] == 2 * number and (answer["array"] == number).all())

    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(ask, range(500)))
    assert not any(caller._calls.values())


def test_to_hang_up_is_to_cancel(model: str, listening: Any) -> None:
    cancelled, begun = threading.Event(), threading.Event()

    def answer(call: Call) -> Any:
        call.when_caller_leaves(cancelled.set)
        begun.set()
        cancelled.wait(PATIENCE)
        return {}

    listening(answer)
    caller = Caller(model)
    with ThreadPoolExecutor(1) as threads, caller.calling() as call:
        asking = threads.submit(call.ask, {})
        assert begun.wait(PATIENCE)
        call.hang_up()
        with pytest.raises(Cancelled):
            asking.result(PATIENCE)
        assert cancelled.wait(PATIENCE)


def test_a_caller_who_left_before_anybody_asked_is_cancelled_too() -> None:
    call, cancelled = Call({}), []
    call.caller_left()
    call.when_caller_leaves(lambda: cancelled.append(1))
    assert cancelled == [1]


def test_a_dead_caller_cancels_like_one_who_hangs_up(model: str, listening: Any) -> None:
    left = threading.Event()

    def answer(call: Call) -> Any:
        call.when_caller_leaves(left.set)
        left.wait(PATIENCE)
        return {}

    listening(answer)
    name = link._name(model, 0)  # of this process's parent, who is not the child's
    child = os.fork()
    if child == 0:
        connected = link._connected_socket(name)
        link.Connection(connected.fileno()).send({})
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert left.wait(PATIENCE)


def test_without_a_listener_the_error_says_what_is_missing(model: str) -> None:
    with pytest.raises(ConnectionError, match=f"{model} is not there"), Caller(model).calling():
        pass


def test_a_listener_that_comes_later_is_found(model: str, listening: Any) -> None:
    caller = Caller(model)
    with pytest.raises(ConnectionError), caller.calling():
        pass
    listening(lambda _call: {"here": True})
    with caller.calling() as call:
        assert call.ask({}) == {"here": True}


def test_the_other_end_dying_midway_is_an_error_not_a_hang(model: str, listening: Any) -> None:
    def die(_call: Call) -> Any:
        raise SystemExit  # the thread that answers is gone, and nothing is ever sent

    listening(die)
    with pytest.raises(ConnectionError, match="ended in the middle"), Caller(model).calling() as call:
        call.ask({})


def test_several_instances_share_the_calls(model: str, listening: Any) -> None:
    release = threading.Event()
    asked: list[int] = []

    def instance(number: int) -> Callable[[Call], Any]:
        def answer(_call: Call) -> Any:
            asked.append(number)
            release.wait(PATIENCE)
            return {}

        return answer

    for number in range(3):
        listening(instance(number))
    caller = Caller(model)

    def ask() -> None:
        with caller.calling() as call:
            call.ask({})

    with ThreadPoolExecutor(6) as threads:
        pending = [threads.submit(ask) for _ in range(6)]
        while len(asked) < 6:
            assert not any(done.done() for done in pending)
        release.set()
    assert sorted(asked) == [0, 0, 1, 1, 2, 2]
