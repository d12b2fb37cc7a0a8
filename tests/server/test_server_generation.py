"""Generation through a real tritonserver: every protocol gives the same clip, whatever else is being served."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiocraft_client import AsyncClient, Audio, Client, DeadlineExceeded
from triton_calls import infer

from audiocraft_triton import Engine
from audiocraft_triton.serving.embedded.server import EmbeddedServer


@pytest.fixture(scope="module")
def engines(demo_checkpoints: Path) -> Iterator[dict[str, Engine]]:
    assert demo_checkpoints.is_dir()
    running = {"music": Engine("demo", device="cpu"), "sound": Engine("demo-sound", device="cpu")}
    yield running
    for engine in running.values():
        engine.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(("model", "rate"), [("musicgen", 32_000), ("audiogen", 16_000)])
def test_unary_infer_answers_with_a_file_at_the_models_own_rate(
    server: EmbeddedServer, protocol: str, model: str, rate: int
) -> None:
    result = infer(server, protocol, model, text=("BYTES", [b"calm piano"]), duration=("FP32", [1.5]))
    samples, file_rate = soundfile.read(io.BytesIO(result.as_numpy("audio")[0]))
    assert file_rate == rate
    assert result.as_numpy("sample_rate").tolist() == [rate]
    assert len(samples) == int(1.5 * rate)
    assert result.as_numpy("codes").shape == (1, 4, 75)
    assert np.abs(samples).max() > 0.01


@pytest.mark.parametrize("kind", ["music", "sound"])
def test_a_seed_gives_the_same_clip_through_every_protocol(
    server: EmbeddedServer, engines: dict[str, Engine], kind: str
) -> None:
    # 0.7 s: as float32 it is 0.69999998, which would make 34 frames of 35.
    options = {"duration": 0.7, "temperature": 0.9, "top_k": 50, "cfg_coef": 2.5, "seed": 11}
    plain = engines[kind].generate("slow jazz", **options)
    assert plain.codes.shape[1] == 35
    clips = []
    for url in (server.grpc_url, server.http_url):
        with Client(url) as client:
            generate = client.music if kind == "music" else client.sound
            clips.append(generate("slow jazz", return_codes=True, **options))
    with Client(server.grpc_url) as client:
        clips.append(
            Audio.from_chunks(client.stream("slow jazz", kind, chunk_seconds=0.1, return_codes=True, **options))
        )
    for clip in clips:
        assert clip.codes is not None
        np.testing.assert_array_equal(clip.codes, plain.codes)
        # The codes are the same, but sums of pieces of another length may round differently.
        np.testing.assert_allclose(clip.waveform, plain.waveform, atol=1e-6)
        assert clip.seed == 11


def test_a_drawn_seed_is_returned_and_gives_the_clip_again(client: Client) -> None:
    first = client.music("fast rock", duration=0.5)
    other = client.music("fast rock", duration=0.5)
    again = client.music("fast rock", duration=0.5, seed=first.seed)
    assert first.seed != other.seed
    np.testing.assert_array_equal(again.waveform, first.waveform)
    assert not np.array_equal(other.waveform, first.waveform)


def test_other_requests_in_the_batch_do_not_change_a_request(
    server: EmbeddedServer, engines: dict[str, Engine]
) -> None:
    requests = [
        ({"music": "musicgen", "sound": "audiogen"}[kind], kind, text, duration, seed)
        for seed, (kind, text, duration) in enumerate(
            [("music", "calm piano", 1.0), ("sound", "rain", 0.4), ("music", "", 0.6), ("sound", "dog", 0.8)] * 4
        )
    ]

    def ask(request: tuple[str, str, str, float, int]) -> np.ndarray:
        model, _, text, duration, seed = request
        result = infer(
            server,
            "grpc" if seed % 2 else "http",
            model,
            ["codes"],
            text=("BYTES", [text.encode()]),
            duration=("FP32", [duration]),
            seed=("INT64", [seed]),
        )
        return result.as_numpy("codes")[0]

    with ThreadPoolExecutor(len(requests)) as threads:
        answers = list(threads.map(ask, requests))
    for (_, kind, text, duration, seed), codes in zip(requests, answers, strict=True):
        expected = engines[kind].generate(text, duration=duration, seed=seed).codes
        np.testing.assert_array_equal(codes, expected)


def test_a_stream_comes_in_chunks_of_the_length_asked_for(server: EmbeddedServer) -> None:
    with Client(server.grpc_url) as client:
        chunks = list(client.stream("calm piano", duration=1.1, chunk_seconds=0.25, seed=3))
        whole = client.music("calm piano", duration=1.1, seed=3)
    assert [chunk.waveform.shape[1] for chunk in chunks] == [8000, 8000, 8000, 8000, 3200]
    np.testing.assert_allclose(Audio.from_chunks(chunks).waveform, whole.waveform, atol=1e-6)


def test_a_continuation_begins_with_what_it_continues(client: Client, engines: dict[str, Engine]) -> None:
    beginning = client.music("calm piano", duration=0.5, seed=1)
    longer = client.music("calm piano", duration=1.2, seed=2, continuation=beginning, return_codes=True)
    expected = engines["music"].generate("calm piano", duration=1.2, seed=2, continuation=beginning.waveform)
    assert longer.codes is not None
    np.testing.assert_array_equal(longer.codes, expected.codes)
    codes = client.encode(beginning).codes
    np.testing.assert_array_equal(longer.codes[:, : codes.shape[1]], codes)


def test_multiband_diffusion_decodes_what_was_generated(client: Client) -> None:
    plain = client.music("calm piano", duration=0.6, seed=5, return_codes=True)
    diffused = client.music("calm piano", duration=0.6, seed=5, decoder="multiband_diffusion", return_codes=True)
    assert plain.codes is not None
    assert diffused.codes is not None
    np.testing.assert_array_equal(diffused.codes, plain.codes)
    assert diffused.waveform.shape == plain.waveform.shape
    assert not np.array_equal(diffused.waveform, plain.waveform)
    again = client.decode(plain.codes, decoder="multiband_diffusion", seed=5)
    np.testing.assert_allclose(again.waveform, diffused.waveform, atol=1e-5)


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_every_format_is_a_file_of_that_format(server: EmbeddedServer, format: str) -> None:
    result = infer(
        server,
        "grpc",
        "musicgen",
        ["audio"],
        text=("BYTES", [b"x"]),
        duration=("FP32", [0.5]),
        format=("BYTES", [format.encode()]),
    )
    with soundfile.SoundFile(io.BytesIO(result.as_numpy("audio")[0])) as file:
        assert file.format.lower() == format
        assert file.samplerate == 32_000


def test_only_requested_outputs_come_back(server: EmbeddedServer) -> None:
    result = infer(server, "grpc", "musicgen", ["codes"], text=("BYTES", [b"x"]), duration=("FP32", [0.2]))
    assert [output.name for output in result.get_response().outputs] == ["codes"]


def test_async_clients_share_the_server(server: EmbeddedServer, engines: dict[str, Engine]) -> None:
    async def ask(url: str) -> list[Audio]:
        async with AsyncClient(url) as client:
            return await asyncio.gather(*(client.music("bells", duration=0.3, seed=seed) for seed in range(4)))

    for url in (server.grpc_url, server.http_url):
        for seed, clip in enumerate(asyncio.run(ask(url))):
            expected = engines["music"].generate("bells", duration=0.3, seed=seed).waveform
            np.testing.assert_array_equal(clip.waveform, expected)


def test_a_cancelled_request_frees_the_engine_for_the_next(server: EmbeddedServer) -> None:
    with Client(server.grpc_url, timeout=2) as impatient, pytest.raises(DeadlineExceeded):
        list(impatient.stream("calm piano", duration=300))
    # If it continued, the abandoned clip would keep the engine busy for much longer than this.
    with Client(server.grpc_url, timeout=20) as client:
        assert client.music("calm piano", duration=0.1).duration == pytest.approx(0.1)


def test_hundreds_of_concurrent_calls_are_all_answered(server: EmbeddedServer, engines: dict[str, Engine]) -> None:
    """Triton's own calls between models deadlock here, see adapters/rpc.py."""
    expected = [engines["music"].generate("bells", duration=0.2, seed=seed).codes for seed in range(10)]
    with Client(server.grpc_url, timeout=60) as client, ThreadPoolExecutor(12) as threads:
        clips = threads.map(
            lambda call: client.music("bells", duration=0.2, seed=call % 10, return_codes=True), range(400)
        )
        for call, clip in enumerate(clips):
            np.testing.assert_array_equal(clip.codes, expected[call % 10])
