"""Random crops have the right position and length at any file's rate, and are the same in every run."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiocraft_triton.contract.errors import InvalidRequest
from training.audio_crops import (
    CropBatches,
    audio_files,
    crop_loader,
    read_crop,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files, each of one constant level, in different formats, rates and channel counts."""
    soundfile.write(tmp_path / "a.wav", np.full(8000, 0.25), 16_000)
    (tmp_path / "deeper").mkdir()
    soundfile.write(tmp_path / "deeper" / "b.flac", np.full((24_000, 2), [0.25, 0.75]), 24_000)
    soundfile.write(tmp_path / "c.wav", np.full(100, -0.5), 16_000)
    (tmp_path / "notes.txt").write_text("no audio")
    return tmp_path


def test_only_audio_files_are_found_at_any_depth(folder: Path) -> None:
    assert [path.name for path in audio_files(folder)] == ["a.wav", "c.wav", "b.flac"]


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="must be a folder with audio files"):
        audio_files(tmp_path)


def test_a_crop_is_mono_at_the_requested_rate_and_a_short_file_is_repeated(folder: Path) -> None:
    assert read_crop(folder / "a.wav", 16_000, 4000, 0.5).shape == (4000,)
    resampled = read_crop(folder / "deeper" / "b.flac", 16_000, 8000, 0.3)
    assert resampled.shape == (8000,)
    np.testing.assert_allclose(resampled[100:-100], 0.5, atol=1e-3)
    np.testing.assert_allclose(read_crop(folder / "c.wav", 16_000, 350, 0.9), -0.5, atol=1e-4)


def test_start_sets_the_position_of_a_crop(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "ramp.wav", np.arange(1000) / 1000, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_crop(tmp_path / "ramp.wav", 16_000, 10, 0.0), np.arange(10) / 1000, atol=1e-6)
    last = read_crop(tmp_path / "ramp.wav", 16_000, 10, 0.999999)
    np.testing.assert_allclose(last, np.arange(990, 1000) / 1000, atol=1e-6)


def test_batches_are_the_same_for_any_number_of_readers_and_from_any_step(folder: Path) -> None:
    def batches(step: int, processes: int, count: int) -> list[torch.Tensor]:
        crops = CropBatches(audio_files(folder), 16_000, 200, 3, seed=1, rank=0, step=step)
        return list(islice(crop_loader(crops, processes), count))

    alone = batches(0, 0, 5)
    assert alone[0].shape == (3, 1, 200)
    assert all(torch.equal(a, b) for a, b in zip(alone, batches(0, 2, 5), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(alone[3:], batches(3, 2, 2), strict=True))


def test_each_process_of_a_training_sees_different_crops(folder: Path) -> None:
    first, second = (
        next(iter(CropBatches(audio_files(folder), 16_000, 200, 8, seed=1, rank=rank, step=0))) for rank in (0, 1)
    )
    assert not torch.equal(first, second)
