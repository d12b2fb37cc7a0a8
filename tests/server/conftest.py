"""Clients of the test run's server, and realistic audio files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiocraft_client import Client

from audiocraft_triton.serving.embedded.server import EmbeddedServer


@pytest.fixture(params=["grpc", "http"])
def client(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[Client]:
    """A client of each protocol."""
    with Client(server.grpc_url if request.param == "grpc" else server.http_url, timeout=120) as connected:
        yield connected


@pytest.fixture(scope="session")
def cd_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3.7 s of a 44.1 kHz stereo 16-bit file: chords left, a sweep right, some noise."""
    rate = 44_100
    time = np.arange(int(3.7 * rate)) / rate
    noise = np.random.default_rng(5).normal(0, 0.03, (len(time), 2))
    left = sum(0.1 * np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.2, 329.6))
    right = 0.3 * np.sin(2 * np.pi * (200 + 900 * time) * time)
    path = tmp_path_factory.mktemp("files") / "cd.wav"
    soundfile.write(path, np.stack([left, right], axis=1) + noise, rate, subtype="PCM_16")
    return path
