"""The number of a server's threads, and that it is enough."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audiocraft_client import Audio, Client

from audiocraft_triton.serving.arguments import INNER_CALLS, THREADS_PER_MODEL
from audiocraft_triton.serving.embedded.server import EmbeddedServer

PROCESSES = 15
"""Processes of models, including those that replace the native libtorch backend; the audio reader has two."""
OTHERS = 150
"""Threads of tritonserver that don't depend on the models; for some of them there is one per core."""


def test_the_server_starts_only_the_threads_that_its_models_can_use(server: EmbeddedServer) -> None:
    threads = len(list(Path(f"/proc/{server.pid}/task").iterdir()))
    assert threads < PROCESSES * THREADS_PER_MODEL + OTHERS


def test_more_uploads_than_inner_calls_to_the_reader_are_all_answered(server: EmbeddedServer) -> None:
    with Client(server.grpc_url, timeout=240) as client:
        beginning = client.music("calm piano", duration=0.4, seed=1)

        def stream(seed: int) -> float:
            chunks = client.stream("calm piano", duration=0.6, seed=seed, continuation=beginning)
            return round(Audio.from_chunks(chunks).duration, 3)

        callers = 6 * INNER_CALLS["audio_reader"]
        with ThreadPoolExecutor(callers) as pool:
            assert list(pool.map(stream, range(callers))) == [0.6] * callers
