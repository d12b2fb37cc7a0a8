"""Streams: the clip itself, heard before it is complete, and never complete when it isn't."""

from __future__ import annotations

import io
import time

import httpx
import numpy as np
import pytest
import soundfile

CLIP = {"text": "calm solo piano", "duration": 3.0, "seed": 7}


def test_the_pieces_are_the_clip(http: httpx.Client) -> None:
    whole = http.post("/generate/music", json=CLIP).content
    streamed = http.post("/generate/music/stream", json={**CLIP, "chunk_seconds": 0.3})
    assert streamed.headers["Content-Type"] == "audio/wav"
    assert (streamed.headers["X-Seed"], streamed.headers["X-Sample-Rate"]) == ("7", "32000")
    assert "Content-Length" not in streamed.headers
    expected, rate = soundfile.read(io.BytesIO(whole), dtype="int16")
    found, found_rate = soundfile.read(io.BytesIO(streamed.content), dtype="int16")  # the header says no length
    assert found_rate == rate
    assert len(found) == len(expected) == 96_000
    assert np.abs(found.astype(int) - expected).max() <= 1  # floats differ in their last bits


def test_the_three_encodings_hold_the_same_samples(http: httpx.Client) -> None:
    bodies = {
        format: http.post("/generate/audio/stream", json={**CLIP, "duration": 1.0, "format": format}).content
        for format in ("wav", "pcm", "pcm_f32")
    }
    assert bodies["wav"][44:] == bodies["pcm"]
    floats = np.frombuffer(bodies["pcm_f32"], "<f4")
    assert len(floats) == 16_000
    assert np.array_equal(np.rint(np.clip(floats, -1, 1) * 32767).astype("<i2"), np.frombuffer(bodies["pcm"], "<i2"))


def test_the_first_byte_comes_before_half_of_the_time(http: httpx.Client) -> None:
    wanted = {**CLIP, "duration": 20.0, "format": "pcm"}
    began = time.monotonic()
    arrivals: list[float] = []
    with http.stream("POST", "/generate/music/stream", json=wanted) as answer:
        for _piece in answer.iter_raw():
            arrivals.append(time.monotonic() - began)
    assert len(arrivals) >= 10
    assert arrivals[0] < 0.5 * arrivals[-1]


def test_what_is_refused_before_the_first_chunk_has_a_proper_status(http: httpx.Client) -> None:
    answer = http.post("/generate/music/stream", json={**CLIP, "top_k": 2**30})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "top_k"


def test_a_stream_that_breaks_is_no_complete_answer(start_gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiocraft_client import AsyncClient, Chunk, ServerFailure

    async def breaking(*_arguments: object, **_options: object):
        yield Chunk(np.zeros((1, 3200), np.float32), 32_000, 1, 0.0, 0)
        raise ServerFailure("the GPU fell off the bus")

    gateway = start_gateway()
    monkeypatch.setattr(AsyncClient, "stream", breaking)
    with gateway.client() as http, pytest.raises(httpx.RemoteProtocolError):
        http.post("/generate/music/stream", json=CLIP)
