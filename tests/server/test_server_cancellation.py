"""Cancelled, disconnected and expired requests free their slots on every protocol, without effect on other requests."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
from audiocraft_client import Client, DeadlineExceeded
from scraping import active, ended, value, wait_until
from triton_calls import infer, tensors
from tritonclient.utils import InferenceServerException

from audiocraft_triton.serving.embedded.server import EmbeddedServer

LONG = {"text": ("BYTES", [b"calm piano"]), "duration": ("FP32", [300.0])}
LONG_JSON = {"text": "calm piano", "duration": 300.0}
TIMED_OUT = "the request was not complete within its timeout of 0.5 seconds"


@pytest.fixture(autouse=True)
def _idle(server: EmbeddedServer) -> Iterator[None]:
    """Each test starts and ends with an idle engine."""
    wait_until(lambda: active(server) == 0)
    yield
    wait_until(lambda: active(server) == 0)


@contextmanager
def _grpc_stream(server: EmbeddedServer) -> Iterator[None]:
    client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
    client.start_stream(lambda **_: None)
    client.async_stream_infer("musicgen_stream", tensors("grpc", **LONG))
    yield
    client.stop_stream(cancel_requests=True)


@contextmanager
def _grpc_unary(server: EmbeddedServer) -> Iterator[None]:
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        call = client.async_infer("musicgen", tensors("grpc", **LONG), lambda **_: None)
        yield
        call.cancel()


@contextmanager
def _grpc_deadline(server: EmbeddedServer) -> Iterator[None]:
    ends: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        client.async_infer(
            "musicgen", tensors("grpc", **LONG), lambda **said: ends.put(said["error"]), client_timeout=1.5
        )
        yield
        assert "Deadline Exceeded" in str(ends.get(timeout=10))


@contextmanager
def _http_stream(server: EmbeddedServer) -> Iterator[None]:
    with _post(server, "musicgen_stream/generate_stream", LONG_JSON) as connection:
        assert b"200 OK" in connection.recv(4096)
        yield


@contextmanager
def _killed_process(server: EmbeddedServer) -> Iterator[None]:
    code = (
        "import sys; from audiocraft_client import Client\n"
        "for chunk in Client(sys.argv[1]).stream('calm piano', duration=300): print(chunk.index, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, server.grpc_url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"0\n"
        yield
        process.send_signal(signal.SIGKILL)


@contextmanager
def _post(server: EmbeddedServer, path: str, body: dict[str, Any]) -> Iterator[socket.socket]:
    """A bare connection with a request in flight, which is closed in the end."""
    data = json.dumps(body)
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=30) as connection:
        connection.sendall(
            f"POST /v2/models/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n{data}".encode()
        )
        yield connection


PROTOCOLS: dict[str, Callable[[EmbeddedServer], AbstractContextManager[None]]] = {
    "gRPC stream cancelled": _grpc_stream,
    "gRPC unary cancelled": _grpc_unary,
    "gRPC deadline": _grpc_deadline,
    "HTTP stream disconnected": _http_stream,
    "client process killed": _killed_process,
}


def _other_request(server: EmbeddedServer) -> np.ndarray:
    """The codes of a request that takes some seconds."""
    result = infer(
        server, "grpc", "musicgen", ["codes"], text=("BYTES", [b"rock"]), duration=("FP32", [25.0]), seed=("INT64", [5])
    )
    return np.array(result.as_numpy("codes"))


@pytest.fixture(scope="module")
def alone(server: EmbeddedServer) -> np.ndarray:
    return _other_request(server)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_cancelled_request_frees_its_slot_and_does_not_change_another_request(
    server: EmbeddedServer, alone: np.ndarray, protocol: str
) -> None:
    before = ended(server, "cancelled")
    with ThreadPoolExecutor(1) as threads:
        with PROTOCOLS[protocol](server):
            wait_until(lambda: active(server) == 1)
            other = threads.submit(_other_request, server)
            wait_until(lambda: active(server) == 2)
        wait_until(lambda: ended(server, "cancelled") == before + 1)
        assert not other.done()
        np.testing.assert_array_equal(other.result(timeout=60), alone)


@pytest.mark.parametrize("path", ["musicgen/infer", "musicgen/generate"])
def test_an_http_request_without_an_answer_ends_by_its_timeout_after_a_disconnect(
    server: EmbeddedServer, path: str
) -> None:
    """Until it has an answer, Triton reads nothing from the connection (`evhtp_request_pause`), not even its end."""
    inputs = [
        {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["calm piano"]},
        {"name": "duration", "datatype": "FP32", "shape": [1], "data": [300.0]},
    ]
    timeout = {"timeout": 2_000_000}
    body = {"inputs": inputs, "parameters": timeout} if path.endswith("infer") else {**LONG_JSON, **timeout}
    before = ended(server, "expired")
    with _post(server, path, body):
        wait_until(lambda: active(server) == 1)
    wait_until(lambda: ended(server, "expired") == before + 1)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_request_expires_when_its_timeout_passes(server: EmbeddedServer, protocol: str) -> None:
    before = ended(server, "expired")
    with pytest.raises(InferenceServerException) as caught:
        infer(server, protocol, "musicgen", timeout=500_000, **LONG)
    assert caught.value.status() == {"grpc": "StatusCode.UNAVAILABLE", "http": "503"}[protocol]
    assert TIMED_OUT in caught.value.message()
    wait_until(lambda: ended(server, "expired") == before + 1)


def test_a_grpc_stream_ends_when_its_timeout_passes(server: EmbeddedServer) -> None:
    before = ended(server, "expired")
    errors: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        client.start_stream(
            lambda **said: said["error"] and errors.put(said["error"]), headers={"triton_grpc_error": "true"}
        )
        client.async_stream_infer("musicgen_stream", tensors("grpc", **LONG), timeout=500_000)
        error = errors.get(timeout=30)
    assert error.status() == "StatusCode.UNAVAILABLE"
    assert TIMED_OUT in error.message()
    wait_until(lambda: ended(server, "expired") == before + 1)


@pytest.mark.parametrize("path", ["musicgen/generate", "musicgen_stream/generate_stream"])
def test_generate_takes_the_timeout_too(server: EmbeddedServer, path: str) -> None:
    before = ended(server, "expired")
    body = json.dumps({**LONG_JSON, "timeout": 500_000}).encode()
    request = urllib.request.Request(f"{server.http_url}/v2/models/{path}", body)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = answer.read().decode()
    except urllib.error.HTTPError as error:
        said = error.read().decode()
    assert TIMED_OUT in said
    wait_until(lambda: ended(server, "expired") == before + 1)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_clients_own_timeout_frees_the_engine(server: EmbeddedServer, protocol: str) -> None:
    outcome = {"grpc": "cancelled", "http": "expired"}[protocol]
    before = ended(server, outcome)
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with Client(url, timeout=1) as impatient, pytest.raises(DeadlineExceeded):
        impatient.music("calm piano", duration=300)
    wait_until(lambda: ended(server, outcome) == before + 1)


@pytest.mark.parametrize("timeout", [-1, 10**12, "soon"])
def test_a_bad_timeout_is_refused(server: EmbeddedServer, timeout: object) -> None:
    body = json.dumps({"text": "x", "duration": 0.1, "timeout": timeout}).encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.http_url}/v2/models/musicgen/generate", body, timeout=30)
    assert caught.value.code == 400
    message = json.loads(caught.value.read())["error"]
    assert message == f"timeout={timeout!r}: must be between 0 and 86,400,000,000 microseconds"


def test_a_timeout_that_is_long_enough_changes_nothing(server: EmbeddedServer, alone: np.ndarray) -> None:
    result = infer(
        server, "http", "musicgen", ["codes"], timeout=60_000_000,
        text=("BYTES", [b"rock"]), duration=("FP32", [25.0]), seed=("INT64", [5]),
    )  # fmt: skip
    np.testing.assert_array_equal(result.as_numpy("codes"), alone)


def test_requests_over_slots_and_admission_queue_are_refused_and_counted(server: EmbeddedServer) -> None:
    """All waiting and running requests can then be cancelled at once."""
    too_many = 10
    slots = int(value(server, "audiocraft_slots", model="musicgen"))
    admitted = slots + 64
    before = {outcome: ended(server, outcome) for outcome in ("rejected", "cancelled", "completed")}
    errors: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        calls = [
            client.async_infer("musicgen", tensors("grpc", **LONG), lambda **said: errors.put(said["error"]))
            for _ in range(admitted + too_many)
        ]
        for _ in range(too_many):
            error = errors.get(timeout=30)
            assert error.status() == "StatusCode.UNAVAILABLE"
            assert "try again later" in error.message()
        wait_until(lambda: active(server) == slots)
        wait_until(lambda: value(server, "audiocraft_waiting_requests", model="musicgen") == 64)
        wait_until(lambda: ended(server, "rejected") == before["rejected"] + too_many)
        for call in calls:
            call.cancel()
        wait_until(lambda: ended(server, "cancelled") == before["cancelled"] + admitted)
    wait_until(lambda: value(server, "audiocraft_waiting_requests", model="musicgen") == 0)
    assert ended(server, "completed") == before["completed"]
