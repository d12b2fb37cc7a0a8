"""Whole clips: the model's own rate, the client's own samples, every format."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import httpx
import pytest
import soundfile
from audiocraft_client import Client

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer

PIANO = {"text": "calm solo piano", "duration": 1.0, "seed": 7}


@pytest.mark.parametrize(("route", "kind", "rate"), [("music", "music", 32_000), ("audio", "sound", 16_000)])
def test_a_clip_is_the_clients_own_at_the_models_own_rate(
    http: httpx.Client, server: EmbeddedServer, route: str, kind: str, rate: int
) -> None:
    answer = http.post(f"/generate/{route}", json=PIANO)
    assert answer.status_code == 200, answer.text
    with Client(server.grpc_url) as client:
        clip = getattr(client, kind)(PIANO["text"], duration=1.0, seed=7)
    assert answer.content == clip.to_bytes("wav")
    assert soundfile.info(io.BytesIO(answer.content)).samplerate == rate
    assert answer.headers["X-Sample-Rate"] == str(rate)
    assert (answer.headers["X-Seed"], answer.headers["X-Channels"]) == ("7", "1")
    assert answer.headers["X-Duration-Seconds"] == "1"


def test_a_drawn_seed_makes_the_same_clip_again(http: httpx.Client) -> None:
    first = http.post("/generate/music", json={"text": "rock", "duration": 0.5})
    again = http.post("/generate/music", json={"text": "rock", "duration": 0.5, "seed": int(first.headers["X-Seed"])})
    assert first.content == again.content
    other = http.post("/generate/music", json={"text": "rock", "duration": 0.5})
    assert other.headers["X-Seed"] != first.headers["X-Seed"]


@pytest.mark.parametrize(
    ("format", "media_type", "container"),
    [("flac", "audio/flac", "FLAC"), ("ogg", "audio/ogg", "OGG"), ("mp3", "audio/mpeg", "MP3")],
)
def test_formats(http: httpx.Client, format: str, media_type: str, container: str) -> None:
    answer = http.post("/generate/music", json={**PIANO, "format": format})
    assert answer.headers["Content-Type"] == media_type
    found = soundfile.info(io.BytesIO(answer.content))
    assert (found.format, found.samplerate) == (container, 32_000)
    assert found.duration == pytest.approx(1.0, abs=0.1)


def test_a_continuation_is_the_clients_own(http: httpx.Client, server: EmbeddedServer) -> None:
    clip = http.post("/generate/music", json=PIANO).content
    wanted = {**PIANO, "duration": 2.0, "continuation": base64.b64encode(clip).decode()}
    longer = http.post("/generate/music", json=wanted)
    assert longer.status_code == 200, longer.text
    with Client(server.grpc_url) as client:
        expected = client.music(PIANO["text"], duration=2.0, seed=7, continuation=clip)
    assert longer.content == expected.to_bytes("wav")
    assert longer.headers["X-Duration-Seconds"] == "2"


def test_multiband_diffusion_decodes_otherwise(http: httpx.Client) -> None:
    plain = http.post("/generate/music", json=PIANO)
    diffused = http.post("/generate/music", json={**PIANO, "decoder": "multiband_diffusion"})
    assert diffused.status_code == 200, diffused.text
    assert len(diffused.content) == len(plain.content)
    assert diffused.content != plain.content
