"""The wires themselves: a real gRPC server, a real HTTP server, and ports where nobody listens."""

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from audiocraft_client import (
    AsyncClient,
    Audio,
    Cancelled,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServerFailure,
    ServerUnreachable,
)
from audiocraft_client.errors import from_status
from audiocraft_client.transports import parse_address
from fake_triton import INPUTS, RATE, Servicer, clip, grpc_server, tone


@pytest.fixture
def servicer():
    return Servicer(tone())


@pytest.fixture
def grpc_address(servicer):
    with grpc_server(servicer) as address:
        yield address


@pytest.fixture
def closed_port():
    with socket.socket() as bound:  # bound, never listening
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class HttpTriton(BaseHTTPRequestHandler):
    """Triton's HTTP wire; the text of a request says which status it gets ("503 queue is full")."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        model = self.path.split("/")[-1]
        metadata = {"version": "2.51.0"}
        if model in INPUTS:
            metadata = {"inputs": [{"name": n, "datatype": t, "shape": [1]} for n, t in INPUTS[model].items()]}
        unready = self.path.endswith("/ready") and self.path.startswith("/v2/models/") and "/mpd/" not in self.path
        self._send(400 if unready else 200, json.dumps(metadata).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = body[int(self.headers["Inference-Header-Content-Length"]) + 4 :].decode()
        if text[:3].isdigit():
            return self._send(int(text[:3]), json.dumps({"error": text[4:]}).encode())
        outputs, data = [], b""
        types = {"waveform": "FP32", "sample_rate": "INT32", "seed": "INT64"}
        for name, array in clip(tone()).items():
            size = {"binary_data_size": array.nbytes}
            outputs.append({"name": name, "datatype": types[name], "shape": array.shape, "parameters": size})
            data += array.tobytes()
        header = json.dumps({"outputs": outputs}).encode()
        return self._send(200, header + data, [("Inference-Header-Content-Length", str(len(header)))])


@pytest.fixture
def http_address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), HttpTriton)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run_async(address, work, timeout=30.0):
    async def main():
        async with AsyncClient(address, timeout=timeout) as client:
            return await work(client)

    return asyncio.run(main())


@pytest.mark.parametrize("wire", ["grpc_address", "http_address"])
def test_a_clip_arrives_unchanged_over_either_wire(wire, request):
    address = request.getfixturevalue(wire)
    with Client(address) as client:
        audio = client.music("piano")
    again = run_async(address, lambda client: client.music("piano"))
    for heard in (audio, again):
        assert np.array_equal(heard.waveform, tone())
        assert (heard.sample_rate, heard.seed) == (RATE, 7)


@pytest.mark.parametrize("wire", ["grpc_address", "http_address"])
def test_many_threads_may_share_a_client(wire, request):
    with Client(request.getfixturevalue(wire)) as client, ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(lambda _: client.music("piano"), range(32)))
    assert all(np.array_equal(heard.waveform, tone()) for heard in clips)


def test_minutes_of_audio_pass_grpcs_4_mb_limit(servicer, grpc_address):
    servicer.waveform = np.zeros((1, 300 * RATE), np.float32)
    with Client(grpc_address) as client:
        assert client.music("long", melody=Audio(servicer.waveform, RATE)).duration == 300


def test_streamed_chunks_join_in_order(grpc_address):
    with Client(grpc_address) as client:
        chunks = list(client.stream("piano"))

    async def collect(client):
        return [chunk async for chunk in client.stream("piano")]

    for heard in (chunks, run_async(grpc_address, collect)):
        assert [chunk.start for chunk in heard] == [0.0, 0.5, 1.0]


def test_closing_a_stream_early_cancels_it_on_the_server(servicer, grpc_address):
    with Client(grpc_address) as client:
        stream = client.stream("endless")
        next(stream)
        assert not servicer.cancelled.is_set()
        stream.close()
        assert servicer.cancelled.wait(5)
        assert client.music("piano").seed == 7, "the client works on"


def test_closing_an_async_stream_early_cancels_it_on_the_server(servicer, grpc_address):
    async def first(client):
        async with aclosing(client.stream("endless")) as stream:
            chunk = await anext(stream)
        assert await asyncio.to_thread(servicer.cancelled.wait, 5)
        return chunk

    assert run_async(grpc_address, first).index == 0


def test_cancelled_streams_leave_no_threads_behind(grpc_address):
    before = set(threading.enumerate())
    with Client(grpc_address) as client:
        for _ in range(10):
            stream = client.stream("endless")
            next(stream)
            stream.close()
        ours = [t for t in threading.enumerate() if t not in before and "ThreadPoolExecutor" not in t.name]
        assert len(ours) < 8


def test_an_error_in_the_middle_of_a_stream_is_raised_after_the_chunks_before_it(grpc_address):
    with Client(grpc_address) as client:
        stream = client.stream("fail UNAVAILABLE queue is full")
        assert next(stream).index == 0
        with pytest.raises(Overloaded, match="queue is full"):
            next(stream)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("INVALID_ARGUMENT", InvalidRequest),
        ("UNAVAILABLE", Overloaded),
        ("CANCELLED", Cancelled),
        ("INTERNAL", ServerFailure),
        ("NOT_FOUND", ServerFailure),
    ],
)
def test_grpc_statuses_become_errors_with_the_servers_words(grpc_address, status, kind):
    with Client(grpc_address) as client, pytest.raises(kind, match=r"duration=-3\.0: must be") as caught:
        client.music(f"fail {status} duration=-3.0: must be between 0.1 and 300 seconds")
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidRequest), (503, Overloaded), (499, Cancelled), (500, ServerFailure)]
)
def test_http_statuses_become_errors_with_the_servers_words(http_address, status, kind):
    with Client(http_address) as client, pytest.raises(kind, match="some words"):
        client.music(f"{status} some words")
    with pytest.raises(kind, match="some words"):
        run_async(http_address, lambda client: client.music(f"{status} some words"))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; Connection refused", ServerUnreachable),
        ("UNAVAILABLE", "Socket closed", ServerUnreachable),
        ("UNAVAILABLE", "errors resolving nohost:8001: Domain name not found", ServerUnreachable),
        ("UNAVAILABLE", "the queue is full: 64 requests are waiting", Overloaded),
        ("UNAVAILABLE", "Request for unknown model: 'x' is not found", ServerFailure),
        ("504", "gateway timeout", DeadlineExceeded),
    ],
)
def test_unavailable_means_busy_only_when_the_server_said_so(status, message, kind):
    assert type(from_status(status, message)) is kind


@pytest.mark.parametrize("scheme", ["", "grpc://", "http://"])
def test_a_closed_port_is_unreachable(closed_port, scheme):
    address = f"{scheme}127.0.0.1:{closed_port}"
    with Client(address) as client:
        with pytest.raises(ServerUnreachable):
            client.music("x")
        health = client.health()
    assert health.status == "unreachable"
    assert health.reason
    with pytest.raises(ServerUnreachable):
        run_async(address, lambda client: client.music("x"))
    assert run_async(address, lambda client: client.health()).status == "unreachable"


def test_a_server_that_does_not_answer_in_time_exceeds_the_deadline(grpc_address):
    with Client(grpc_address, timeout=0.3) as client, pytest.raises(DeadlineExceeded):
        client.music("hang")


@pytest.mark.parametrize("scheme", ["http://"])
def test_a_silent_http_server_exceeds_the_deadline(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, timeout=0.3) as client, pytest.raises(DeadlineExceeded):
            client.music("x")
        with pytest.raises(DeadlineExceeded):
            run_async(address, lambda client: client.music("x"), timeout=0.3)


def test_streaming_over_http_says_what_to_do(http_address):
    with Client(http_address) as client:
        assert not client.streams
        with pytest.raises(InvalidRequest, match="connect to the gRPC port"):
            client.stream("x")


@pytest.mark.parametrize("wire", ["grpc_address", "http_address"])
def test_health_asks_for_each_model(wire, request):
    address = request.getfixturevalue(wire)
    with Client(address) as client:
        healths = [client.health(), run_async(address, lambda client: client.health())]
    for health in healths:
        assert (health.status, health.version, health.models["mpd"]) == ("ready", "2.51.0", True)
        assert health.discriminators == {"mpd": True, "msd": False, "msstftd": False}


@pytest.mark.parametrize(
    ("server", "parsed"),
    [
        ("localhost:8001", ("grpc", "localhost:8001")),
        ("localhost", ("grpc", "localhost:8001")),
        ("grpc://host:1", ("grpc", "host:1")),
        ("http://host", ("http", "host:8000")),
        ("http://host:80/triton/", ("http", "host:80/triton")),
        ("[::1]:8001", ("grpc", "[::1]:8001")),
    ],
)
def test_addresses_name_wire_and_port(server, parsed):
    assert parse_address(server) == parsed


@pytest.mark.parametrize("server", ["ftp://host:1", "", "http://", "host:port"])
def test_a_bad_address_says_what_a_good_one_looks_like(server):
    with pytest.raises(InvalidRequest, match="host:port"):
        Client(server)
