"""How many threads a server takes, and that it needs no more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audiocraft_client import Audio, Client

from audiocraft_triton.serving.arguments import INNER_CALLS, THREADS_PER_MODEL
from audiocraft_triton.serving.embedded.server import EmbeddedServer

PROCESSES = 15
"""Of models, with those that stand in for the native libtorch backend; the audio reader has two."""
OTHERS = 150
"""Threads of tritonserver that no model adds to; some of them are one for each core."""


def test_the_server_starts_only_the_threads_that_its_models_can_use(server: EmbeddedServer) -> None:
    threads = len(list(Path(f"/proc/{server.pid}/task").iterdir()))
    assert threads < PROCESSES * THREADS_PER_MODEL + OTHERS


def test_more_callers_who_send_a_file_than_the_reader_is_asked_at_once_are_all_answered(server: EmbeddedServer) -> None:
    with Client(server.grpc_url, timeout=240) as client:
        beginning = client.music("calm piano", duration=0.4, seed=1)

        def stream(seed: int) -> float:
            chunks = client.stream("calm piano", duration=0.6, seed=seed, continuation=beginning)
            return round(Audio.from_chunks(chunks).duration, 3)

        callers = 6 * INNER_CALLS["audio_reader"]
        with ThreadPoolExecutor(callers) as pool:
            assert list(pool.map(stream, range(callers))) == [0.6] * callers
