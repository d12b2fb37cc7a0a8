"""Limits: what is too large, too often, too many at once or without a key is refused in words, and costs nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import parse_many

from audiocraft_triton.gateway.app import create_app
from audiocraft_triton.gateway.exchange import client_address
from audiocraft_triton.gateway.limits.rate import REMEMBERED_CALLERS, MovingWindow
from audiocraft_triton.gateway.settings import Settings

PATIENCE = 60.0
NOWHERE = {"triton": "127.0.0.1:1"}
"""A gateway whose Triton is away: what passes the limits is answered at once, with 503 or 502."""
LONG = {"text": "calm solo piano", "duration": 300.0, "chunk_seconds": 0.5}


# Bodies


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, max_body_bytes=1024)
    with _connected(gateway.port, "/generate/music", "Content-Length: 100000000000") as caller:
        status, headers, problem = _answer(caller)
        assert (status, headers["content-type"]) == (413, "application/problem+json")
        assert problem["detail"] == "body=100,000,000,000 bytes: must be at most 1,024 bytes"
        assert problem["request_id"] == headers["x-request-id"]
        _until_closed(caller)


def test_a_body_without_a_length_is_refused_once_it_is_too_large(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, max_body_bytes=10_000)
    chunk = b"400\r\n" + bytes(0x400) + b"\r\n"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    for path, kind, begin in (
        ("/generate/music", "application/json", b" "),
        ("/analyze", "multipart/form-data; boundary=b", form),
    ):
        with _connected(gateway.port, path, "Transfer-Encoding: chunked", f"Content-Type: {kind}") as caller:
            caller.sendall(b"%x\r\n%b\r\n" % (len(begin), begin) + chunk * 8)
            assert not _has_answer(caller), "it was refused too early"
            caller.sendall(chunk * 8)
            status, _, problem = _answer(caller)
            assert (status, problem["detail"]) == (413, "body=more: must be at most 10,000 bytes")
            _until_closed(caller)


def test_who_sends_all_before_reading_gets_the_answer_too(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, max_body_bytes=1024)
    body = bytes(20_000_000)
    with _connected(gateway.port, "/generate/music", f"Content-Length: {len(body)}") as caller:
        caller.sendall(body)
        assert _answer(caller)[0] == 413


def test_a_body_of_the_largest_size_is_read(start_gateway) -> None:
    body = json.dumps({"text": "x" * 900}).encode().ljust(1024)
    with start_gateway(**NOWHERE, max_body_bytes=1024).client() as http:
        headers = {"Content-Type": "application/json"}
        assert http.post("/generate/music", content=body, headers=headers).status_code == 503
        assert http.post("/generate/music", content=body + b" ", headers=headers).status_code == 413


def test_bodies_together_have_a_bound(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, max_body_bytes=1_000_000)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            caller = stack.enter_context(_connected(gateway.port, "/generate/music", "Content-Length: 1000000"))
            caller.sendall(bytes(999_999))
        with gateway.client() as http:
            headers = {"Content-Type": "application/json"}
            _until(lambda: _post(http, bytes(100_000), headers).status_code == 503, "there is no room")
            refused = _post(http, bytes(100_000), headers)
            assert "4,000,000 bytes" in refused.json()["detail"]
            assert int(refused.headers["Retry-After"]) >= 1
    with gateway.client() as http:
        _until(lambda: _post(http, bytes(100_000), headers).status_code != 503, "there is room again")


# Keys


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer first-key"}, 503),
        ({"Authorization": "bearer  second-key"}, 503),
        ({"X-API-Key": "second-key"}, 503),
        ({"X-API-Key": "third-key"}, 503),
        ({"X-API-Key": "first-ke"}, 401),
        ({"X-API-Key": "first-key,second-key"}, 401),
        ({"X-API-Key": "first-keyx"}, 401),
        ({"X-API-Key": "# a comment"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": b"\xff\xfe"}, 401),
        ({"Authorization": "Basic first-key"}, 401),
        ({"Authorization": "Bearer wrong", "X-API-Key": "first-key"}, 401),
    ],
)
def test_only_a_right_key_lets_in(keyed: httpx.Client, headers: dict[str, str], status: int) -> None:
    answer = keyed.post("/generate/music", json={"text": ""}, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["title"] == "An API key is needed"
        assert "first-key" not in answer.text


def test_pages_and_probes_need_no_key(keyed: httpx.Client) -> None:
    for path in ("/", "/static/js/main.js", "/livez", "/docs", "/openapi.json", "/metrics"):
        assert keyed.get(path).status_code == 200, path
    assert keyed.get("/readyz").status_code == keyed.get("/health").status_code == 503
    for path in ("/docs-assets/swagger-ui.css", "/redoc"):
        assert keyed.get(path).status_code == 200, path
    for path in ("/v1/models", "/nowhere", "/static", "/livez/", "/generate/music"):
        assert keyed.get(path).status_code == 401, path


def test_every_other_endpoint_needs_a_key(keyed: httpx.Client) -> None:
    paths = keyed.get("/openapi.json").json()["paths"]
    answers = {path: keyed.request(method, path) for path, methods in paths.items() for method in methods}
    assert {path for path, answer in answers.items() if answer.status_code != 401} == {
        "/health", "/livez", "/readyz", "/metrics",
    }  # fmt: skip


def test_a_file_of_keys_that_lets_anyone_in_by_mistake_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("# keys go here\n\n")
    with pytest.raises(ValueError, match="has no key"):
        create_app(Settings(api_keys_file=empty))
    with pytest.raises(ValueError, match="can't be read"):
        create_app(Settings(api_keys_file=tmp_path / "missing"))


@pytest.fixture
def keyed(start_gateway, tmp_path: Path) -> Iterator[httpx.Client]:
    file = tmp_path / "keys"
    file.write_text("# a comment\n\n  third-key  \n")
    gateway = start_gateway(**NOWHERE, api_keys="first-key, second-key", api_keys_file=file)
    with gateway.client() as http:
        yield http


# Rate


def test_who_asks_too_often_is_told_when_to_come_back(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, api_keys="one,two", rate_limit="3/hour")
    with gateway.client() as http:

        def ask(key: str) -> httpx.Response:
            return http.post("/generate/music", json={"text": ""}, headers={"X-API-Key": key})

        assert [ask("one").status_code for _ in range(4)] == [503, 503, 503, 429]
        refused = ask("one")
        assert 3000 < int(refused.headers["Retry-After"]) <= 3600
        assert "3 per 1 hour" in refused.json()["detail"]
        assert ask("two").status_code == 503, "another key has its own count"
        assert [ask("guess").status_code for _ in range(4)] == [401, 401, 401, 429], "guessing is slow"
        assert ask("two").status_code == 503, "and does not hurt who shares the address"
        assert [http.get("/livez").status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("text", "message"),
    [("many", "write it like"), ("0/minute", "must allow 1 to"), ("60/fortnight", "write"), ("20000/day", "10,000")],
)
def test_a_rate_that_makes_no_sense_is_refused_at_the_start(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_app(Settings(rate_limit=text))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_no_window_ever_holds_more_than_the_limit(pauses: list[float]) -> None:
    now = 1000.0
    window = MovingWindow(parse_many("2/second; 10/minute"), clock=lambda: now)
    admitted: list[float] = []
    for pause in pauses:
        now += pause
        wait = window.wait("caller")
        if wait > 0:
            now += wait + 1e-6  # it is told exactly when there is room
            assert window.wait("caller") == 0.0
        admitted.append(now)
    for seconds, amount in ((1.0, 2), (60.0, 10)):
        assert all(sum(time - seconds < other <= time for other in admitted) <= amount for time in admitted)


def test_a_million_addresses_are_forgotten_again() -> None:
    window = MovingWindow.of("60/minute")
    for number in range(REMEMBERED_CALLERS * 3):
        assert window.wait(f"address {number}") == 0.0
    assert len(window) == REMEMBERED_CALLERS


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_network_is_one_caller(host: str, name: str) -> None:
    assert client_address({"type": "http", "client": (host, 1)}) == name


# Streams


def test_a_caller_holds_so_many_streams_at_once(start_gateway) -> None:
    gateway = start_gateway(streams_per_client=1, api_keys="one,two")
    short = {**LONG, "duration": 1.0}

    def ask(http: httpx.Client, key: str, path: str = "/generate/audio/stream") -> int:
        return http.post(path, json=short, headers={"X-API-Key": key}).status_code

    with gateway.client() as http:
        with http.stream("POST", "/generate/music/stream", json=LONG, headers={"X-API-Key": "one"}) as first:
            sound = first.iter_bytes()
            next(sound)
            refused = http.post("/generate/audio/stream", json=short, headers={"X-API-Key": "one"})
            assert (refused.status_code, refused.json()["title"]) == (429, "Too many streams at once")
            assert int(refused.headers["Retry-After"]) >= 1
            assert ask(http, "two") == 200
            assert ask(http, "one", "/generate/music") == 422, "only streams are counted; this has a stream's field"
        _until(lambda: ask(http, "one") == 200, "a stream that ended counts no more")


def test_a_stream_is_what_is_answered_piece_by_piece_whatever_the_endpoint(start_gateway) -> None:
    gateway = start_gateway(streams_per_client=1)
    with gateway.client() as http, http.stream("POST", "/generate/music/stream", json=LONG) as first:
        sound = first.iter_bytes()
        next(sound)

        def speech(encoding: str) -> httpx.Response:
            body = {"input": "calm solo piano", "duration": 0.2, "response_format": encoding}
            return http.post("/v1/audio/speech", json=body)

        answers = {encoding: speech(encoding).status_code for encoding in ("mp3", "flac", "wav", "pcm")}
    assert answers == {"mp3": 200, "flac": 200, "wav": 429, "pcm": 429}


def test_a_request_that_is_invalid_or_fails_holds_no_stream(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, streams_per_client=1)
    with gateway.client() as http:
        for _ in range(3):
            assert http.post("/generate/music/stream", json={**LONG, "duration": -1}).status_code == 422
            assert http.post("/generate/music/stream", json=LONG).status_code == 503
    assert len(gateway.app.state.streams) == 0


# And all of them


def test_pages_of_listed_origins_can_read_refusals(start_gateway) -> None:
    origin = {"Origin": "https://page.example"}
    gateway = start_gateway(**NOWHERE, api_keys="one", allowed_origins="https://page.example")
    with gateway.client() as http:
        asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
        assert http.options("/generate/music", headers=asked).status_code == 200
        refused = http.post("/generate/music", json={"text": ""}, headers=origin)
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "https://page.example"


def _post(http: httpx.Client, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return http.post("/generate/music", content=body, headers=headers)


@contextlib.contextmanager
def _connected(port: int, path: str, *headers: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as caller:
        caller.sendall("\r\n".join((f"POST {path} HTTP/1.1", "Host: x", *headers, "", "")).encode())
        yield caller


def _answer(caller: socket.socket) -> tuple[int, dict[str, str], dict[str, object]]:
    with caller.makefile("rb") as lines:
        status = int(lines.readline().split()[1])
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers, json.loads(lines.read(int(headers["content-length"])))


def _has_answer(caller: socket.socket) -> bool:
    caller.settimeout(0.2)
    try:
        return bool(caller.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        caller.settimeout(PATIENCE)


def _until_closed(caller: socket.socket) -> None:
    """The gateway stops reading: what is sent on and on finds the connection closed."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            caller.sendall(bytes(1024))
        pytest.fail("the gateway went on reading")


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not so after {PATIENCE:g} s: {what}"
        time.sleep(0.05)
