"""Bad input to a real server: the error names field, value and bound, and the server keeps working."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audiocraft_client import Client, Overloaded
from triton_calls import infer
from tritonclient.utils import InferenceServerException

from audiocraft_triton.serving.embedded.server import EmbeddedServer

TEXT = ("BYTES", [b"calm piano"])


def _wav(samples: np.ndarray, rate: int = 32_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


NOISE = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "not audio": (lambda: b"this is not audio", "is not a readable audio file"),
    "empty": (lambda: b"", "is not a readable audio file"),
    "truncated": (lambda: _wav(NOISE)[:5000], "is cut off"),
    "0 samples": (lambda: _wav(NOISE[:0]), "must hold at least one sample"),
    "NaN": (lambda: _wav(np.where(np.arange(4000) == 7, np.nan, NOISE)), "every sample must be a finite number"),
    "20 channels": (lambda: _wav(np.tile(NOISE[:, None], (1, 20))), "must have between 1 and 8 channels"),
    "3 Hz": (lambda: _wav(NOISE, rate=3), "must have a sample rate between 4,000 and 192,000 Hz"),
    "301 s": (lambda: _wav(np.zeros(301 * 8000, np.float32), rate=8000), "must last at most 300 seconds"),
}
GENERATION: dict[str, tuple[dict[str, Any], str]] = {
    "negative duration": ({"duration": ("FP32", [-3.0])}, "duration=-3.0: must be between 0.1 and 300 seconds"),
    "huge duration": ({"duration": ("FP32", [1e9])}, "must be between 0.1 and 300 seconds"),
    "NaN duration": ({"duration": ("FP32", [float("nan")])}, "duration=nan: must be between 0.1 and 300 seconds"),
    "top_k over the card": ({"top_k": ("INT32", [513])}, "top_k=513: must be between 0 and 512"),
    "negative top_k": ({"top_k": ("INT32", [-1])}, "top_k=-1: must be between 0 and"),
    "top_p": ({"top_p": ("FP32", [1.5])}, "top_p=1.5: must be between 0 and 1"),
    "temperature": ({"temperature": ("FP32", [-0.5])}, "temperature=-0.5: must be between 0 and 10"),
    "cfg_coef": ({"cfg_coef": ("FP32", [21.0])}, "cfg_coef=21.0: must be between 0 and 20"),
    "seed": ({"seed": ("INT64", [-1])}, "seed=-1: must be between 0 and"),
    "format": ({"format": ("BYTES", [b"m4a"])}, "format='m4a': must be one of wav, flac, ogg, mp3, pcm_f32"),
    "decoder": ({"decoder": ("BYTES", [b"magic"])}, "decoder='magic': must be one of encodec, multiband_diffusion"),
    "long text": ({"text": ("BYTES", [b"x" * 2001])}, "has 2,001 characters, at most 2,000 are allowed"),
    "text not UTF-8": ({"text": ("BYTES", [b"\xff\xfe"])}, "must be UTF-8 text"),
    "melody": ({"melody": ("BYTES", [_wav(NOISE)])}, "checkpoint 'demo' has no melody conditioning"),
    "continuation": ({"continuation": ("BYTES", [b"junk"])}, "continuation='4 bytes': is not a readable audio file"),
    "continuation longer than the clip": (
        {"continuation": ("BYTES", [_wav(np.tile(NOISE, 20))]), "duration": ("FP32", [1.0])},
        "duration=1.0: must be longer than the continuation, which lasts 2.50 seconds",
    ),
    "wrong dtype": ({"duration": ("INT32", [3])}, "data-type is 'INT32', but model 'musicgen' expects 'FP32'"),
    "wrong shape": ({"duration": ("FP32", [3.0, 4.0])}, "unexpected shape for input 'duration'"),
    "unknown input": ({"tempo": ("FP32", [120.0])}, "unexpected inference input 'tempo'"),
}
CODES: dict[str, tuple[np.ndarray, str]] = {
    "too large": (np.full((1, 4, 10), 512), "codes=512: every code must be between 0 and 511"),
    "negative": (np.full((1, 4, 10), -1), "codes=-1: every code must be between 0 and 511"),
    "3 codebooks": (np.zeros((1, 3, 10)), "must have shape [1, 4 codebooks, frames]"),
    "no frames": (np.zeros((1, 4, 0)), "codes"),
    "too long": (np.zeros((1, 4, 15_001)), "must have between 1 and 15,000 frames"),
    "rank": (np.zeros((4, 10)), "unexpected shape for input 'codes'"),
}


@pytest.fixture(params=["grpc", "http"])
def refuse(request: pytest.FixtureRequest, server: EmbeddedServer) -> Callable[..., str]:
    """Expects a request to be refused with a client error; returns the message."""

    def ask(model: str, **inputs: Any) -> str:
        with pytest.raises(InferenceServerException) as caught:
            infer(server, request.param, model, **inputs)
        expected = {"grpc": "StatusCode.INVALID_ARGUMENT", "http": "400"}[request.param]
        assert caught.value.status() == expected, caught.value
        return str(caught.value.message())

    return ask


@pytest.mark.parametrize("model", ["encode", "analyze"])
@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused(refuse: Callable[..., str], model: str, case: str) -> None:
    make, reason = FILES[case]
    message = refuse(model, audio_file=("BYTES", [make()]))
    assert "audio_file=" in message
    assert reason in message


@pytest.mark.parametrize("case", GENERATION)
def test_a_bad_generation_request_is_refused(refuse: Callable[..., str], case: str) -> None:
    inputs, reason = GENERATION[case]
    assert reason in refuse("musicgen", **{"text": TEXT, **inputs})


@pytest.mark.parametrize("model", ["decode", "multiband_diffusion"])
@pytest.mark.parametrize("case", CODES)
def test_bad_codes_are_refused(refuse: Callable[..., str], model: str, case: str) -> None:
    codes, reason = CODES[case]
    assert reason in refuse(model, codes=("INT32", codes))


def test_a_bad_threshold_is_refused(refuse: Callable[..., str], cd_file: Path) -> None:
    message = refuse("analyze", audio_file=("BYTES", [cd_file.read_bytes()]), threshold=("FP32", [1.5]))
    assert "threshold=1.5: must be between 0 and 1" in message


def test_a_missing_text_is_refused(refuse: Callable[..., str]) -> None:
    assert "text=None: is missing" in refuse("musicgen", duration=("FP32", [1.0]))


def test_diffusion_is_refused_by_a_model_without_it(refuse: Callable[..., str]) -> None:
    message = refuse("audiogen", text=TEXT, decoder=("BYTES", [b"multiband_diffusion"]))
    assert "decoder='multiband_diffusion': this model has no MultiBand Diffusion" in message


def test_the_server_keeps_working_after_bad_input(server: EmbeddedServer, cd_file: Path) -> None:
    pid = server.pid
    for make, _ in FILES.values():
        with pytest.raises(InferenceServerException):
            infer(server, "grpc", "encode", audio_file=("BYTES", [make()]))
    result = infer(server, "grpc", "encode", audio_file=("BYTES", [cd_file.read_bytes()]))
    assert result.as_numpy("codes").shape == (1, 4, 185)
    assert server.pid == pid


def test_requests_over_the_limit_are_refused_with_unavailable(server: EmbeddedServer) -> None:
    def ask(seed: int) -> str:
        with Client(server.grpc_url) as client:
            try:
                client.sound("x", duration=0.4, seed=seed)
            except Overloaded as error:
                return str(error)
            return "served"

    with ThreadPoolExecutor(140) as threads:
        answers = list(threads.map(ask, range(140)))
    refused = [answer for answer in answers if answer != "served"]
    assert refused  # 64 may wait
    assert all("try again later" in answer for answer in refused)
    assert answers.count("served") >= 65
    assert ask(0) == "served"
