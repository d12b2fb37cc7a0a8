"""Clients of other servers, pointed at the gateway."""

from __future__ import annotations

import io

import httpx
import numpy as np
import openai
import pytest
import soundfile


@pytest.fixture
def existing(gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=300)


def test_openais_client_lists_the_models(existing: openai.OpenAI) -> None:
    assert [model.id for model in existing.models.list()] == ["musicgen", "audiogen"]


def test_openais_client_gets_a_file(existing: openai.OpenAI, http: httpx.Client) -> None:
    speech = existing.audio.speech.create(
        model="musicgen", voice="alloy", input="calm piano", response_format="flac",
        extra_body={"duration": 1.0, "seed": 4},
    )  # fmt: skip
    expected = http.post("/generate/music", json={"text": "calm piano", "duration": 1.0, "seed": 4, "format": "flac"})
    assert speech.content == expected.content


def test_openais_client_streams(existing: openai.OpenAI) -> None:
    with existing.audio.speech.with_streaming_response.create(
        model="audiogen", voice="alloy", input="rain", response_format="pcm", extra_body={"duration": 3.0}
    ) as answer:
        assert answer.headers["X-Sample-Rate"] == "16000"
        pieces = list(answer.iter_bytes(1000))
    assert sum(map(len, pieces)) == 2 * 3 * 16_000


def test_openais_client_hears_what_is_wrong(existing: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        existing.audio.speech.create(model="tts-1", voice="alloy", input="hello")


def test_vllm_omnis_shape(http: httpx.Client) -> None:
    answer = http.post(
        "/v1/audio/generate",
        json={
            "input": "a siren", "model": "audiogen", "audio_length": 1.0, "guidance_scale": 2.0, "seed": 9,
            "negative_prompt": "noise", "num_inference_steps": 100,
        },
    )  # fmt: skip
    expected = http.post("/generate/audio", json={"text": "a siren", "duration": 1.0, "cfg_coef": 2.0, "seed": 9})
    assert answer.content == expected.content
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert (len(samples), rate) == (16_000, 16_000)
    assert np.isfinite(samples).all()
