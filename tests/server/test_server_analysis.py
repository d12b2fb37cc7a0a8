"""Scoring through a real tritonserver, against the eager discriminators."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audiocraft_client import Client
from triton_calls import infer

from audiocraft_triton.audio.files import read_audio
from audiocraft_triton.audio.waveforms import convert, cut_windows
from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import DiscriminatorSet, load_discriminators
from audiocraft_triton.serving.embedded.server import EmbeddedServer


@pytest.fixture(scope="module")
def eager(demo_checkpoints: Path) -> DiscriminatorSet:
    assert demo_checkpoints.is_dir()
    discriminators, _ = load_discriminators(resolve("demo"))
    return discriminators


def _eager_scores(eager: DiscriminatorSet, file: bytes) -> np.ndarray:
    """Returns scores [windows, 3] from the full logit maps."""
    waveform, rate = read_audio(file)
    windows = torch.from_numpy(cut_windows(convert(waveform, rate, 32_000, 1), 64_000))
    columns = []
    with torch.inference_mode():
        for name in DISCRIMINATORS:
            logits, _ = eager[name](windows)
            mean = torch.stack([part.flatten(1).mean(dim=1) for part in logits], dim=1).mean(dim=1)
            columns.append(torch.sigmoid(mean))
    return torch.stack(columns, dim=1).numpy()


def test_scores_equal_the_eager_discriminators(client: Client, eager: DiscriminatorSet, cd_file: Path) -> None:
    analysis = client.analyze(cd_file)
    expected = _eager_scores(eager, cd_file.read_bytes())
    assert expected.shape == (2, 3)
    np.testing.assert_allclose(analysis.window_scores, expected, atol=1e-5)
    scores = [analysis.mpd_score, analysis.msd_score, analysis.msstftd_score]
    np.testing.assert_allclose(scores, expected.mean(axis=0), atol=1e-5)
    assert analysis.realness == pytest.approx(float(expected.mean()), abs=1e-5)
    assert analysis.window_seconds == 2.0
    assert not analysis.calibrated


def test_the_threshold_decides_the_verdict(client: Client, cd_file: Path) -> None:
    realness = client.analyze(cd_file).realness
    assert client.analyze(cd_file, threshold=max(0.0, realness - 0.01)).is_real
    assert not client.analyze(cd_file, threshold=min(1.0, realness + 0.01)).is_real


def test_feature_maps_are_described_by_their_layout(client: Client, cd_file: Path) -> None:
    analysis = client.analyze(cd_file, feature_maps=True)
    assert analysis.feature_maps is not None
    layout = analysis.feature_layout
    assert {row.discriminator for row in layout} == set(DISCRIMINATORS)
    assert [row.offset for row in layout] == np.cumsum([0, *(row.channels for row in layout[:-1])]).tolist()
    assert analysis.feature_maps.shape == (2, sum(row.channels for row in layout))


def test_windows_of_many_callers_do_not_mix(server: EmbeddedServer, eager: DiscriminatorSet) -> None:
    generator = np.random.default_rng(2)
    files = []
    for seconds in (0.3, 2.0, 3.1, 5.0) * 3:
        buffer = io.BytesIO()
        samples = generator.normal(0, generator.uniform(0.01, 0.4), int(seconds * 32_000))
        soundfile.write(buffer, samples, 32_000, format="WAV", subtype="FLOAT")
        files.append(buffer.getvalue())
    with Client(server.grpc_url) as client, ThreadPoolExecutor(len(files)) as threads:
        answers = list(threads.map(client.analyze, files))
    for file, answer in zip(files, answers, strict=True):
        np.testing.assert_allclose(answer.window_scores, _eager_scores(eager, file), atol=1e-5)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_plain_infer_analyses(server: EmbeddedServer, cd_file: Path, protocol: str) -> None:
    result = infer(server, protocol, "analyze", audio_file=("BYTES", [cd_file.read_bytes()]))
    for name in ("mpd_score", "msd_score", "msstftd_score", "realness"):
        assert 0.0 < float(result.as_numpy(name)[0]) < 1.0
    assert result.as_numpy("is_real").dtype == np.bool_
