"""What the gateway says of itself: an id, a line and a count for each request, however it ended."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import structlog
from audiocraft_client import Audio, Chunk, Overloaded, ServerFailure

PATIENCE = 60.0
NOWHERE = {"triton": "127.0.0.1:1"}
CLIP = {"text": "a secret prompt", "duration": 0.5, "seed": 11}


# Request ids


@pytest.mark.parametrize("given", ["0f8fad5b-d9cd-469f-a165-70867728950e", "trace.7_B-1", "x" * 64])
def test_a_harmless_request_id_is_kept(away: httpx.Client, given: str) -> None:
    for path in ("/livez", "/readyz", "/nowhere"):
        answer = away.get(path, headers={"X-Request-ID": given})
        assert answer.headers.get_list("X-Request-ID") == [given], path


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "a,b", "{}", "<script>", "a\tb", "ä".encode()])
def test_any_other_request_id_is_replaced(away: httpx.Client, given: str) -> None:
    answer = away.get("/livez", headers={"X-Request-ID": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_every_answer_has_an_id_and_problems_repeat_it(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, max_body_bytes=2000, api_keys="key", rate_limit="3/hour")
    key = {"X-API-Key": "key"}
    with gateway.client() as http:
        answers = [
            http.get("/livez"),
            http.get("/readyz"),
            http.post("/generate/music", json={"text": ""}),
            http.post("/generate/music", json={"text": "", "duration": -1}, headers=key),
            http.post("/generate/music", content=bytes(3000), headers=key),
            http.get("/nowhere", headers=key),
            http.get("/nowhere", headers=key),
        ]
    assert [answer.status_code for answer in answers] == [200, 503, 401, 422, 413, 404, 429]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == len(ids)
    for answer, request_id in zip(answers[1:], ids[1:], strict=True):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == request_id


# Metrics


def test_a_clip_is_counted(start_gateway) -> None:
    with start_gateway().client() as http:
        assert http.post("/generate/music", json=CLIP).status_code == 200
        assert http.post("/generate/music", json={**CLIP, "duration": -1}).status_code == 422
        counts = _metrics(http)
    music = 'route="/generate/music"'
    assert counts[f'audiocraft_gateway_requests_total{{method="POST",{music},status="200"}}'] == 1
    assert counts[f'audiocraft_gateway_requests_total{{method="POST",{music},status="422"}}'] == 1
    assert counts[f"audiocraft_gateway_request_duration_seconds_count{{{music}}}"] == 2
    assert counts[f"audiocraft_gateway_time_to_first_byte_seconds_count{{{music}}}"] == 1, "a problem is no sound"
    assert counts[f"audiocraft_gateway_requests_in_progress{{{music}}}"] == 0
    assert counts["process_resident_memory_bytes"] > 0


def test_a_stream_is_counted_while_it_runs_and_its_first_byte_is_timed(start_gateway) -> None:
    route = 'route="/generate/music/stream"'
    with start_gateway().client() as http:
        with http.stream("POST", "/generate/music/stream", json={"text": "", "duration": 300.0}) as stream:
            sound = stream.iter_bytes()
            next(sound)
            during = _metrics(http)
        assert during["audiocraft_gateway_active_streams"] == 1
        assert during[f"audiocraft_gateway_requests_in_progress{{{route}}}"] == 1
        assert during[f"audiocraft_gateway_time_to_first_byte_seconds_count{{{route}}}"] == 1
        assert f"audiocraft_gateway_request_duration_seconds_count{{{route}}}" not in during
        disconnected = f'audiocraft_gateway_requests_total{{method="POST",{route},status="499"}}'
        _until(lambda: _metrics(http).get(disconnected) == 1, "a client that disconnects is counted as 499")
        assert _metrics(http)["audiocraft_gateway_active_streams"] == 0


@pytest.mark.parametrize(("encoding", "streams"), [("mp3", 0), ("wav", 1)])
def test_only_an_answer_sent_while_it_is_made_counts_as_a_stream(start_gateway, encoding: str, streams: int) -> None:
    gateway = start_gateway(**NOWHERE)
    gateway.app.state.client = _Sounding()
    during: list[float] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watching(message: Any) -> None:
            during.append(_metrics(http)["audiocraft_gateway_active_streams"])
            await send(message)

        await gateway.app(scope, receive, watching)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(watched), base_url="http://here") as caller:
            body = {"input": "calm piano", "response_format": encoding}
            return await caller.post("/v1/audio/speech", json=body)

    with gateway.client() as http:
        assert asyncio.run(ask()).status_code == 200
        assert set(during) == {streams}
        assert _metrics(http)["audiocraft_gateway_active_streams"] == 0


def test_a_caller_who_waits_for_a_clip_and_hangs_up_is_counted(start_gateway) -> None:
    gateway = start_gateway()
    body = json.dumps({"text": "", "duration": 300.0}).encode()
    head = f"POST /generate/music HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with gateway.client() as http:
        with socket.create_connection(("127.0.0.1", gateway.port)) as caller:
            caller.sendall(f"{head}\r\n\r\n".encode() + body)
            waiting = 'audiocraft_gateway_requests_in_progress{route="/generate/music"}'
            _until(lambda: _metrics(http).get(waiting) == 1, "the request is there")
        disconnected = 'audiocraft_gateway_requests_total{method="POST",route="/generate/music",status="499"}'
        _until(lambda: _metrics(http).get(disconnected) == 1, "499")


def test_what_a_caller_writes_never_becomes_a_label(away: httpx.Client) -> None:
    away.get("/metrics")
    before = set(_metrics(away))
    for number in range(20):
        away.get(f"/path/{number}")
        away.get(f"/static/missing/{number}")
        away.get(f"/livez?{number}")
        away.request("PROPFIND", f"/{number}", headers={"X-Request-ID": f"id-{number}"})
        away.request(f"METHOD{number}", "/")
    new = set(_metrics(away)) - before
    labels = {re.sub(r"_bucket\{le=\"[^\"]*\",", "_bucket{", name) for name in new}
    routes = {route for name in labels for route in re.findall(r'route="([^"]*)"', name)}
    assert routes == {"unknown", "/static", "/livez", "/"}
    assert len([name for name in labels if name.startswith("audiocraft_gateway_requests_total")]) <= 6


def test_refusals_are_counted_by_reason(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE, max_body_bytes=2000, api_keys="key", rate_limit="3/hour")
    gateway.app.state.client = _Failing(Overloaded("all slots are taken"))
    headers = {"X-API-Key": "key"}
    with gateway.client() as http:
        http.post("/generate/music", json={"text": ""})
        http.post("/generate/music", content=bytes(3000), headers=headers)
        busy = http.post("/generate/music", json={"text": ""}, headers=headers)
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "2")
        for _ in range(3):
            http.post("/generate/music", json={"text": ""}, headers=headers)
        counts = _metrics(http)
    reasons = {name: counts[f'audiocraft_gateway_rejected_total{{reason="{name}"}}'] for name in
               ("key", "body", "busy", "rate", "streams")}  # fmt: skip
    assert reasons == {"key": 1, "body": 1, "busy": 2, "rate": 2, "streams": 0}


def test_two_gateways_count_for_themselves(start_gateway) -> None:
    one, other = start_gateway(**NOWHERE), start_gateway(**NOWHERE)
    with one.client() as http:
        http.get("/livez")
        assert _metrics(http)['audiocraft_gateway_requests_total{method="GET",route="/livez",status="200"}'] == 1
    with other.client() as http:
        assert 'audiocraft_gateway_requests_total{method="GET",route="/livez",status="200"}' not in _metrics(http)


# Errors


def test_an_error_nobody_thought_of_is_a_problem_with_its_traceback_in_the_log(start_gateway) -> None:
    gateway = start_gateway(**NOWHERE)
    gateway.app.state.client = _Failing(RuntimeError("a bug"))
    with gateway.client() as http, structlog.testing.capture_logs() as lines:
        answer = http.post("/generate/music", json=CLIP)
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
        assert "a bug" not in answer.text
        assert _counted(http, "/generate/music", 500) == 1
    assert [line["exc_info"] for line in lines if line["event"] == "error"] == [True]


@pytest.mark.parametrize("error", [ServerFailure("a model failed"), RuntimeError("a bug")])
def test_a_stream_that_breaks_midway_does_not_count_as_well_served(start_gateway, error: Exception) -> None:
    gateway = start_gateway(**NOWHERE)
    gateway.app.state.client = _Failing(error)
    with gateway.client() as http, structlog.testing.capture_logs():
        with (
            pytest.raises(httpx.RemoteProtocolError),
            http.stream("POST", "/generate/music/stream", json=CLIP) as stream,
        ):
            for _ in stream.iter_bytes():
                pass
        _until(lambda: _counted(http, "/generate/music/stream", 500) == 1, "500")
        assert _metrics(http)["audiocraft_gateway_active_streams"] == 0


# Log lines


def test_each_request_has_one_line_that_says_no_more_than_it_should(start_gateway) -> None:
    gateway = start_gateway(api_keys="a-secret-key")
    key = {"X-API-Key": "a-secret-key"}
    with gateway.client() as http, structlog.testing.capture_logs() as lines:
        sound = http.post("/generate/music?q=a-secret-query", json=CLIP, headers=key)
        http.post("/generate/music", json={**CLIP, "top_p": "a-secret-value"}, headers=key)
        http.post("/generate/music", json=CLIP, headers={"X-API-Key": "a-secret-guess"})
        _until(lambda: len([line for line in lines if line["event"] == "request"]) == 3, "three lines")
    served, invalid, refused = lines
    assert served == {
        "event": "request", "log_level": "info", "method": "POST", "route": "/generate/music", "status": 200,
        "duration": served["duration"], "bytes": len(sound.content), "client": "key 1", "seed": 11,
    }  # fmt: skip
    assert 0 < served["duration"] < PATIENCE
    assert (invalid["status"], invalid["client"]) == (422, "key 1")
    assert (refused["status"], refused["client"], refused["refusal"]) == (401, "127.0.0.1", "key")
    assert "secret" not in repr(lines)


class _Sounding:
    """A client that answers at once."""

    async def music(self, *_: Any, **__: Any) -> Audio:
        return Audio(np.zeros((1, 16_000), np.float32), 32_000, seed=11)

    async def stream(self, *_: Any, **__: Any) -> AsyncGenerator[Chunk, None]:
        for index in range(2):
            yield Chunk(np.zeros((1, 16_000), np.float32), 32_000, seed=11, start=index / 2, index=index)


class _Failing:
    """A client whose calls fail; its streams after the first chunk."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def music(self, *_: Any, **__: Any) -> None:
        raise self._error

    async def stream(self, *_: Any, **__: Any) -> AsyncGenerator[Chunk, None]:
        yield Chunk(np.zeros((1, 16_000), np.float32), 32_000, seed=11, start=0.0, index=0)
        raise self._error


@pytest.fixture
def away(start_gateway) -> Iterator[httpx.Client]:
    """A caller of a gateway whose Triton is away."""
    with start_gateway(**NOWHERE).client() as http:
        yield http


def _metrics(http: httpx.Client) -> dict[str, float]:
    text = http.get("/metrics").text
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def _counted(http: httpx.Client, route: str, status: int) -> float | None:
    return _metrics(http).get(f'audiocraft_gateway_requests_total{{method="POST",route="{route}",status="{status}"}}')


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not so after {PATIENCE:g} s: {what}"
        time.sleep(0.05)
