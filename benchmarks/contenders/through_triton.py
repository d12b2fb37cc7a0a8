"""The engine as clients use it: a separate tritonserver, gRPC on one connection, each request from its own thread."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from audiocraft_client import Client, calls
from audiocraft_client.transports import Transport, connect

from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options
from audiocraft_triton.serving.repository import MODEL_REPOSITORY
from benchmarks.contenders.contender import Clips, Job
from benchmarks.measure import at_once
from training.architecture import FRAME_RATE

_MODELS = ("musicgen", "musicgen_stream")
_TIMEOUT = 600.0
"""Timeout of a response in seconds, so that a server that hangs loses its own figures and not the whole run."""


@contextmanager
def opened(job: Job) -> Iterator[ThroughTriton]:
    """Starts a server with only the music models; stops it at the end."""
    environment = {"AUDIOCRAFT_MUSICGEN_CHECKPOINT": str(job.checkpoint.resolve())}
    if job.dtype is not None:
        environment["AUDIOCRAFT_MUSICGEN_DTYPE"] = job.dtype
    if job.device.type == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryDirectory(prefix="audiocraft-triton-benchmark-") as scratch:
        repository = Path(scratch)
        for model in _MODELS:
            shutil.copytree(MODEL_REPOSITORY / model, repository / model, ignore=shutil.ignore_patterns("__pycache__"))
        options = Options(repository, http_port=0, grpc_port=0, metrics_port=0, environment=environment)
        with EmbeddedServer(options) as server:
            transport = connect(server.grpc_url, _TIMEOUT)
            with Client(transport=transport) as client:
                yield ThroughTriton(client, transport, job)


class ThroughTriton:
    """See `Contender`."""

    def __init__(self, client: Client, transport: Transport, job: Job) -> None:
        self._client = client
        self._transport = transport
        self._job = job
        self._datatypes = transport.datatypes("musicgen")
        self.versions = {"tritonserver": str(client.health().version)}

    @property
    def description(self) -> str:
        return (
            f"tritonserver {self.versions['tritonserver']} in its own process with the engine's default settings, "
            "gRPC on one connection; requests ask for a wav file"
        )

    def generate(self, requests: int, seconds: float) -> Clips:
        prompts = enumerate(self._job.prompts(requests))
        files, wall = at_once([partial(self._wav_file, text, index, seconds) for index, text in prompts])
        waveforms, rate = [], 0
        for file in files:
            samples, rate = soundfile.read(io.BytesIO(file), dtype="float32")
            waveforms.append(np.asarray(samples, np.float32))
        return Clips(waveforms, rate, wall, wall / (seconds * FRAME_RATE))

    def first_audio(self, requests: int, seconds: float, chunk_seconds: float) -> list[float]:
        prompts = enumerate(self._job.prompts(requests))
        return at_once([partial(self._time_to_first, text, index, seconds, chunk_seconds) for index, text in prompts])[
            0
        ]

    def _wav_file(self, text: str, index: int, seconds: float) -> bytes:
        # The request of `client.music`, except that it asks for the finished file, as HTTP and curl clients do.
        call = calls.generate("music", text, {"duration": seconds, "seed": self._job.seed + index})
        answer = self._transport.infer(call.model, call.tensors(self._datatypes), ("audio",))
        return bytes(answer["audio"][0])

    def _time_to_first(self, text: str, index: int, seconds: float, chunk_seconds: float) -> float:
        start = time.perf_counter()
        chunks = self._client.stream(text, chunk_seconds=chunk_seconds, duration=seconds, seed=self._job.seed + index)
        next(chunks)
        first = time.perf_counter() - start
        for _ in chunks:
            pass
        return first
