"""Every error is a problem that names the field, the value and the bound."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"duration": 301}, "duration"),
        ({"duration": 0}, "duration"),
        ({"duration": "10"}, "duration"),
        ({"temperature": -1}, "temperature"),
        ({"top_k": 2.5}, "top_k"),
        ({"top_k": 100_000}, "top_k"),
        ({"top_p": 1.5}, "top_p"),
        ({"cfg_coef": 21}, "cfg_coef"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"text": "x" * 2001}, "text"),
        ({"text": None}, "text"),
        ({"format": "midi"}, "format"),
        ({"decoder": "vocoder"}, "decoder"),
        ({"continuation": "not base64!"}, "continuation"),
        ({"continuation": "AAAA"}, "continuation"),
        ({"melody": "AAAA"}, "melody"),
        ({"tempo": 120}, "tempo"),
    ],
)
def test_a_bad_field_is_named(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    answer = http.post("/generate/music", json={"text": "rock", "duration": 0.5, **change})
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert field in [error["field"] for error in problem["errors"]]
    assert (problem["status"], problem["instance"]) == (422, "/generate/music")
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_a_refusal_says_field_value_and_limit_in_one_line(http: httpx.Client) -> None:
    answer = http.post("/generate/music", json={"text": "rock", "duration": -3})
    assert answer.json()["detail"] == "duration=-3: Input should be greater than or equal to 0.1"
    gap = http.post("/generate/music", json={"duration": 3}).json()
    assert gap["detail"] == "text: Field required"
    assert "value" not in gap["errors"][0]


@pytest.mark.parametrize("body", [b'{"text": "x", "duration": NaN}', b'{"text": "x", "top_p": Infinity}'])
def test_numbers_that_are_none(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/generate/music", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in ("duration", "top_p")


@pytest.mark.parametrize("body", [b"{", b'{"text": "\\ud800"}', b"[]", b"null", b'"x"'])
def test_bodies_that_are_no_request(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/generate/music", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_json_that_does_not_call_itself_json(http: httpx.Client) -> None:
    answer = http.post("/generate/music", content=b'{"text": "x"}')
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_there_is_no_such_door(http: httpx.Client) -> None:
    answer = http.get("/generate/films")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert http.get("/generate/music").status_code == 405


def test_a_longer_clip_than_this_gateway_allows(start_gateway) -> None:
    with start_gateway(max_audio_seconds=5).client() as http:
        answer = http.post("/generate/music", json={"text": "x", "duration": 6})
        assert answer.status_code == 422
        assert answer.json()["detail"] == "duration=6: must be between 0.1 and 5 seconds here"


def test_a_full_queue_asks_to_come_back(start_gateway) -> None:
    """8 slots and 64 places to wait; the rest is told when to try again, and nobody else is hurt."""
    gateway = start_gateway(streams_per_client=200)

    def ask(seed: int) -> httpx.Response:
        with gateway.client() as http:
            return http.post("/generate/music", json={"text": "", "duration": 6.0, "seed": seed})

    with ThreadPoolExecutor(110) as callers:
        answers = list(callers.map(ask, range(110)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}, set(statuses)
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert int(busy.headers["Retry-After"]) >= 1
    assert busy.headers["Content-Type"] == "application/problem+json"


def test_nobody_behind_the_gateway(start_gateway) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gateway = start_gateway(triton=f"127.0.0.1:{closed.getsockname()[1]}")
        with gateway.client() as http:
            answer = http.post("/generate/music", json={"text": "x", "duration": 1})
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
            assert http.get("/readyz").status_code == 503
            health = http.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "unreachable")
            assert http.get("/livez").text == "alive"


def test_a_call_that_takes_too_long(start_gateway) -> None:
    with start_gateway(call_timeout=0.5).client() as http:
        answer = http.post("/generate/music", json={"text": "x", "duration": 300})
        assert answer.status_code == 504


def test_the_gateway_carries_no_model() -> None:
    heavy = ("torch", "audiocraft", "transformers", "audiocraft_triton.engine")
    code = f"import sys, audiocraft_triton.gateway.app; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
