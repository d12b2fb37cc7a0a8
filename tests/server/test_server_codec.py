"""EnCodec through a real tritonserver, compared with audiocraft's own."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audiocraft.data.audio_utils import convert_audio
from audiocraft.models.encodec import CompressionModel
from audiocraft_client import Client
from triton_calls import infer

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.serving.embedded.server import EmbeddedServer


@pytest.fixture(scope="module")
def codec(demo_checkpoints: Path) -> CompressionModel:
    assert demo_checkpoints.is_dir()
    return load_codec(resolve("demo"), torch.device("cpu"))


def _upstream_codes(codec: CompressionModel, file: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(file), dtype="float32", always_2d=True)
    wave = convert_audio(torch.from_numpy(samples.T)[None], rate, codec.sample_rate, codec.channels)
    with torch.inference_mode():
        codes, _ = codec.encode(wave)
    return codes[0].numpy()


def test_encode_equals_audiocraft_code_for_code_on_a_cd_file(
    client: Client, codec: CompressionModel, cd_file: Path
) -> None:
    codes = client.encode(cd_file)
    np.testing.assert_array_equal(codes.codes, _upstream_codes(codec, cd_file.read_bytes()))
    assert codes.sample_rate == 32_000
    assert codes.duration == pytest.approx(3.7)
    assert min(len(np.unique(row)) for row in codes.codes) > 20  # otherwise equality would prove little


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_plain_infer_encodes_and_decodes(
    server: EmbeddedServer, codec: CompressionModel, cd_file: Path, protocol: str
) -> None:
    encoded = infer(server, protocol, "encode", audio_file=("BYTES", [cd_file.read_bytes()]))
    codes = encoded.as_numpy("codes")
    assert codes.dtype == np.int32
    decoded = infer(server, protocol, "decode", codes=("INT32", codes), format=("BYTES", [b"flac"]))
    with torch.inference_mode():
        expected = codec.decode(torch.from_numpy(codes.astype(np.int64)))[0].numpy()
    np.testing.assert_allclose(decoded.as_numpy("waveform"), expected, atol=1e-6)
    samples, rate = soundfile.read(io.BytesIO(decoded.as_numpy("audio")[0]), always_2d=True)
    assert rate == 32_000
    np.testing.assert_allclose(samples.T, np.clip(expected, -1, 1), atol=2 / 32768)


def test_clips_of_many_lengths_at_once_each_get_their_own_codes(
    server: EmbeddedServer, codec: CompressionModel
) -> None:
    generator = np.random.default_rng(0)
    files = []
    for index in range(12):
        buffer = io.BytesIO()
        length = [1, 639, 640, 641, 20_001, 32_000][index % 6]
        soundfile.write(buffer, generator.normal(0, 0.2, length), 32_000, format="WAV", subtype="FLOAT")
        files.append(buffer.getvalue())
    with Client(server.grpc_url) as client, ThreadPoolExecutor(len(files)) as threads:
        answers = list(threads.map(client.encode, files))
    for file, answer in zip(files, answers, strict=True):
        np.testing.assert_array_equal(answer.codes, _upstream_codes(codec, file))


def test_a_request_with_bad_codes_fails_alone_in_its_batch(server: EmbeddedServer, codec: CompressionModel) -> None:
    good = np.random.default_rng(1).integers(0, 512, (4, 40))
    bad = np.full((4, 40), 512)
    with torch.inference_mode():
        expected = codec.decode(torch.from_numpy(good)[None])[0].numpy()

    def decode(codes: np.ndarray) -> np.ndarray | str:
        try:
            return client.decode(codes).waveform
        except Exception as error:
            return str(error)

    with Client(server.grpc_url) as client, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(decode, [good, bad] * 6))
    for index, answer in enumerate(answers):
        if index % 2:
            assert isinstance(answer, str)
            assert "codes=512: every code must be between 0 and 511" in answer
        else:  # a batch uses other kernels, which sum in another order
            np.testing.assert_allclose(answer, expected, atol=1e-6)
