"""Calls between two model processes: each is answered, a disconnect cancels it, and no bytes on the socket do harm."""

from __future__ import annotations

import os
import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocraft_triton.contract.errors import Cancelled
from audiocraft_triton.serving.adapters import frames, rpc
from audiocraft_triton.serving.adapters.frames import FrameError
from audiocraft_triton.serving.adapters.rpc import RpcClient, RpcServer, ServerCall

PATIENCE = 30


@pytest.fixture
def model() -> str:
    return f"model_of_{os.getpid()}_{threading.get_ident()}"


@pytest.fixture
def serving(model: str) -> Iterator[Callable[[Callable[[ServerCall], Any]], RpcServer]]:
    """Starts servers and closes them at the end."""
    started: list[RpcServer] = []

    def serve(answer: Callable[[ServerCall], Any]) -> RpcServer:
        started.append(RpcServer(model, answer))
        return started[-1]

    yield serve
    for server in started:
        server.close()


def test_every_call_gets_its_own_answer(model: str, serving: Any) -> None:
    serving(lambda call: {"doubled": call.values["number"] * 2, "array": np.full(100_000, call.values["number"])})
    client = RpcClient(model)

    def ask(number: int) -> bool:
        with client.connected() as call:
            answer = call.ask({"number": number})
        return bool(answer["doubled"] == 2 * number and (answer["array"] == number).all())

    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(ask, range(500)))
    assert not any(client._calls.values())


def test_a_disconnect_cancels_the_call(model: str, serving: Any) -> None:
    cancelled, begun = threading.Event(), threading.Event()

    def answer(call: ServerCall) -> Any:
        call.on_disconnect(cancelled.set)
        begun.set()
        cancelled.wait(PATIENCE)
        return {}

    serving(answer)
    client = RpcClient(model)
    with ThreadPoolExecutor(1) as threads, client.connected() as call:
        asking = threads.submit(call.ask, {})
        assert begun.wait(PATIENCE)
        call.disconnect()
        with pytest.raises(Cancelled):
            asking.result(PATIENCE)
        assert cancelled.wait(PATIENCE)


def test_a_client_that_disconnected_earlier_is_cancelled_at_once() -> None:
    call, cancelled = ServerCall({}), []
    call.disconnected()
    call.on_disconnect(lambda: cancelled.append(1))
    assert cancelled == [1]


def test_a_client_that_is_killed_is_cancelled(model: str, serving: Any) -> None:
    left = threading.Event()

    def answer(call: ServerCall) -> Any:
        call.on_disconnect(left.set)
        left.wait(PATIENCE)
        return {}

    serving(answer)
    name = rpc._name(model, 0)  # with this process's parent, which is not the child's
    child = os.fork()
    if child == 0:
        connected = rpc._connected_socket(name)
        connected.sendall(frames.encode({}))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert left.wait(PATIENCE)


def test_without_a_server_the_error_names_the_missing_model(model: str) -> None:
    with pytest.raises(ConnectionError, match=f"{model} is not running"), RpcClient(model).connected():
        pass


def test_a_server_that_starts_later_is_found(model: str, serving: Any) -> None:
    client = RpcClient(model)
    with pytest.raises(ConnectionError), client.connected():
        pass
    serving(lambda _call: {"here": True})
    with client.connected() as call:
        assert call.ask({}) == {"here": True}


def test_a_server_that_dies_during_a_call_is_an_error_and_does_not_hang(model: str, serving: Any) -> None:
    def die(_call: ServerCall) -> Any:
        raise SystemExit  # the thread that answers is gone, so that nothing is ever sent

    serving(die)
    with pytest.raises(ConnectionError, match="ended in the middle"), RpcClient(model).connected() as call:
        call.ask({})


def test_several_instances_share_the_calls(model: str, serving: Any) -> None:
    release = threading.Event()
    asked: list[int] = []

    def instance(number: int) -> Callable[[ServerCall], Any]:
        def answer(_call: ServerCall) -> Any:
            asked.append(number)
            release.wait(PATIENCE)
            return {}

        return answer

    for number in range(3):
        serving(instance(number))
    client = RpcClient(model)

    def ask() -> None:
        with client.connected() as call:
            call.ask({})

    with ThreadPoolExecutor(6) as threads:
        pending = [threads.submit(ask) for _ in range(6)]
        while len(asked) < 6:
            assert not any(done.done() for done in pending)
        release.set()
    assert sorted(asked) == [0, 0, 1, 1, 2, 2]


class Exploding:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def _number(call: ServerCall) -> Any:
    return {"number": call.values["number"]}


def _answers(model: str) -> bool:
    with RpcClient(model).connected() as call:
        return call.ask({"number": 1}) == {"number": 1}


def _raw(model: str) -> socket.socket:
    """Opens a connection on which a test can send any bytes."""
    connected = rpc._connected_socket(rpc._name(model, 0))
    connected.settimeout(PATIENCE)
    return connected


def test_a_pickle_is_not_loaded_and_the_server_keeps_working(model: str, serving: Any, tmp_path: Path) -> None:
    serving(_number)
    with _raw(model) as connected, Connection(os.dup(connected.fileno())) as pickling:
        pickling.send(Exploding(tmp_path / "loaded"))
        assert "begin with" in frames.receive(connected)["refused"]
    assert not (tmp_path / "loaded").exists()
    assert _answers(model)


def test_an_answer_that_is_a_pickle_is_not_loaded(model: str, tmp_path: Path) -> None:
    with rpc._bound_socket(model) as listening, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(_answers, model)
        listening.accept()[0].close()  # the client counts the instances
        accepted, _ = listening.accept()
        with accepted, Connection(os.dup(accepted.fileno())) as pickling:
            assert frames.receive(accepted) == {"number": 1}
            pickling.send(Exploding(tmp_path / "loaded"))
            with pytest.raises(FrameError, match="begin with"):
                asking.result(PATIENCE)
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "begin with"),
        (frames.PREFIX.pack(frames.MAGIC, 2, frames.MAX_FRAME_BYTES + 1), "over the limit"),
        (frames.PREFIX.pack(frames.MAGIC, 1, 0) + b"{", "can't be read"),
    ],
    ids=["another protocol", "too large", "malformed"],
)
def test_bytes_that_are_not_a_frame_are_refused_with_the_reason(
    model: str, serving: Any, sent: bytes, reason: str
) -> None:
    serving(_number)
    with _raw(model) as connected:
        connected.sendall(sent)
        assert reason in frames.receive(connected)["refused"]
    assert _answers(model)


def test_random_bytes_never_stop_the_server(model: str, serving: Any) -> None:
    serving(lambda _call: {})
    draw = random.Random(0)
    frame = frames.encode({"number": 1, "file": b"some bytes", "array": np.zeros(5)})
    for _ in range(200):
        damaged = bytearray(frame)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(frame))] = draw.randrange(256)
        with _raw(model) as connected, suppress(ConnectionError):
            connected.sendall(damaged[: draw.randint(1, len(frame))])
    with RpcClient(model).connected() as call:
        assert call.ask({}) == {}


def test_an_answer_that_cannot_be_sent_is_an_error_for_its_client_alone(model: str, serving: Any) -> None:
    serving(lambda call: {"answer": print} if call.values["bad"] else {"answer": "good"})
    client = RpcClient(model)
    with pytest.raises(FrameError, match="can't be sent"), client.connected() as call:
        call.ask({"bad": True})
    with client.connected() as call:
        assert call.ask({"bad": False}) == {"answer": "good"}


def test_a_server_that_ran_out_of_files_accepts_again(model: str, serving: Any) -> None:
    serving(_number)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        spare = os.open(os.devnull, os.O_RDONLY)
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(4)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (clients[-1].fileno() + 1, hard))
        os.close(spare)  # the server can accept one, or two if it already holds a descriptor for the next
        try:
            for connected in clients:
                connected.settimeout(PATIENCE)
                connected.connect(rpc._name(model, 0))
                connected.sendall(frames.encode({"number": 1}))
            assert frames.receive(clients[0]) == {"number": 1}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for connected in clients[1:]:
            assert frames.receive(connected) == {"number": 1}
