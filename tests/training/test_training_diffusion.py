"""Diffusion networks learn to find noise, their training resumes exactly, and the engine decodes with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audiocraft_triton.checkpoints.layout import DIFFUSION_FILE, resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.reading import read_state
from audiocraft_triton.engine.codec.multiband_diffusion import MultiBandDiffusion
from training.architecture import Kind
from training.codec import CodecRecipe, train_codec
from training.diffusion import DiffusionRecipe, DiffusionTrainer, train_diffusion

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SAMPLE_RATE = 8000
CODEC = CodecRecipe(
    Kind("tiny", SAMPLE_RATE, (8, 5, 4), 10.0, seed=1), filters=4, latent=16, card=16, steps=1, residual_layers=1,
    batch=4, seconds=0.5,
)  # fmt: skip
TINY = DiffusionRecipe(hidden=4, max_channels=16, fitted_clips=8, batch=4, seconds=0.5, steps=4, warm_up=1)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four files of two seconds: low tones with a little noise at higher frequencies."""
    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0)
    for index, pitch in enumerate((110.0, 220.0, 330.0, 495.0)):
        tone = 0.4 * np.sin(2 * np.pi * pitch * time) + 0.02 * noise.standard_normal(len(time))
        soundfile.write(folder / f"{index}.wav", tone, SAMPLE_RATE)
    return folder


@pytest.fixture(scope="module")
def codec(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a codec after very few steps of training."""
    folder = tmp_path_factory.mktemp("codec")
    assert train_codec(sounds, folder / "run", folder, CODEC, report=quiet)
    return folder


def quiet(_line: str) -> None:
    """Reports nothing."""


def package(out: Path) -> dict[Any, Any]:
    return read_state(out / DIFFUSION_FILE)


def test_every_band_learns_to_find_the_noise(codec: Path) -> None:
    torch.manual_seed(1)
    trainer = DiffusionTrainer(replace(TINY, steps=100, learning_rate=1e-2), load_codec(resolve(str(codec)), CPU), CPU)
    time = torch.arange(trainer.samples) / SAMPLE_RATE
    phases = torch.rand(8, 1, 1) * 6.3
    clips = 0.4 * torch.sin(2 * torch.pi * 220.0 * time + phases) + 0.02 * torch.randn(8, 1, trainer.samples)
    trainer.fit(clips)
    errors = [trainer.step(clips) for _step in range(100)]
    for band in ("band_0", "band_1"):
        curve = [float(error[band]) for error in errors]
        assert np.mean(curve[:5]) > 1.0  # worse than an estimate of no noise at all
        assert np.mean(curve[-20:]) < 0.9


def test_a_resumed_training_writes_the_same_networks(sounds: Path, codec: Path, tmp_path: Path) -> None:
    assert train_diffusion(sounds, codec, tmp_path / "run", tmp_path / "straight", TINY, report=quiet)
    done = [
        train_diffusion(sounds, codec, tmp_path / "pieces", tmp_path / "resumed", TINY, minutes=0.0, report=quiet)
        for _call in range(TINY.steps)
    ]
    assert done == [False, False, False, True]
    straight, resumed = package(tmp_path / "straight"), package(tmp_path / "resumed")
    for index in range(TINY.bands):
        for part in ("model_state", "processor_state"):
            assert straight[index][part].keys() == resumed[index][part].keys()
            for name, value in straight[index][part].items():
                assert torch.equal(value, resumed[index][part][name]), (index, part, name)


def test_the_engine_decodes_with_the_written_networks(sounds: Path, codec: Path, tmp_path: Path) -> None:
    train_diffusion(sounds, codec, tmp_path / "run", tmp_path / "out", TINY, minutes=0.0, report=quiet)
    decoder = MultiBandDiffusion(str(codec), str(tmp_path / "out"), "cpu")
    codes = np.random.default_rng(0).integers(0, CODEC.card, (2, 4, 25), dtype=np.int32)
    sound = decoder.decode(codes, [1, 2])
    assert sound.shape == (2, 1, SAMPLE_RATE // 2)
    assert np.isfinite(sound).all()
    assert sound.std() > 0
