"""Discriminators learn to tell source audio from codec output, without unintended clues, and resume exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audiocraft_triton.checkpoints.layout import DISCRIMINATORS_FILE, Checkpoint, resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.reading import read_state
from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import load_discriminators
from training import discriminators
from training.data.manifest import Clip, write_manifest
from training.discriminators import (
    REPORT_FILE,
    DiscriminatorRecipe,
    DiscriminatorTrainer,
    train_discriminators,
)
from training.fakes import (
    CORRUPTIONS,
    alike,
    loudness,
    round_trip,
)
from training.splits import split_files

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLE_RATE = 16_000
CPU = torch.device("cpu")
TINY = DiscriminatorRecipe(
    mpd={"periods": [2, 3], "filters": 2, "max_filters": 16, "kernel_sizes": [5, 3]},
    msd={"scale_norms": ["weight_norm"] * 2, "filters": 8, "max_filters": 16},
    msstftd={"filters": 4, "n_ffts": [256], "hop_lengths": [64], "win_lengths": [256]},
    sample_rate=SAMPLE_RATE, seconds=0.25, batch=4, steps=4, corrupted=0.25, warm_up=1, clip_seconds=1.0, clips=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve files of three seconds: plucked chords."""
    folder = tmp_path_factory.mktemp("source")
    for index in range(12):
        soundfile.write(folder / f"{index:02}.wav", plucked_chords(index, 3.0), SAMPLE_RATE)
    return folder


def plucked_chords(seed: int, seconds: float) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitches = 110.0 * 2.0 ** (draw.integers(0, 36, size=(3, 1)) / 12)
    chord = sum(np.sin(2 * np.pi * n * pitches * time).sum(axis=0) / n for n in range(1, 6))
    tone: np.ndarray = 0.1 * draw.uniform(0.4, 1.0) * chord * np.exp(-4.0 * (time % 0.5))
    return tone


@pytest.fixture
def codec(demo_checkpoints: Path) -> Checkpoint:
    return resolve(str(demo_checkpoints / "sound"))


def quiet(_line: str) -> None:
    """Reports nothing."""


def test_training_learns_to_tell_source_from_codec_output(music: Path, codec: Checkpoint, tmp_path: Path) -> None:
    recipe = replace(TINY, steps=60, batch=8, corrupted=0.125, learning_rate=3e-3)
    assert train_discriminators(music, codec, tmp_path / "run", tmp_path / "out", recipe, report=quiet)
    found = json.loads((tmp_path / "out" / REPORT_FILE).read_text())
    assert found["validation"]["codec output"]["auc"] > 0.9
    assert found["test"]["overall"]["auc"] > 0.9
    assert found["test"]["overall"]["accuracy"] > 0.7
    assert found["steps"] == 60


@pytest.mark.parametrize("with_generated", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
def test_any_batch_size_trains(codec: Checkpoint, batch: int, with_generated: bool) -> None:
    torch.manual_seed(batch)
    trainer = DiscriminatorTrainer(replace(TINY, corrupted=0.1, generated=0.45), load_codec(codec, CPU), CPU)
    crops = 0.1 * torch.randn(batch, 1, 6000)
    for _ in range(15):
        made = trainer.step(crops, 0.1 * torch.randn(batch, 1, 6000) if with_generated else None)
        assert all(torch.isfinite(value) for value in made.values())


def test_a_batch_of_one_learns_from_every_kind_of_fake(codec: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    recipe = replace(TINY, batch=1, corrupted=0.1, generated=0.45, steps=200)
    trainer = DiscriminatorTrainer(recipe, load_codec(codec, CPU), CPU)
    seen = {"corrupt": 0, "round_trip": 0}

    def counted(name: str) -> None:
        makes = getattr(discriminators, name)

        def count(*arguments: Any) -> torch.Tensor:
            seen[name] += 1
            made: torch.Tensor = makes(*arguments)
            return made

        monkeypatch.setattr(discriminators, name, count)

    counted("corrupt")
    counted("round_trip")
    crops, generated = 0.1 * torch.randn(1, 1, 6000), 0.1 * torch.randn(1, 1, 6000)
    for _ in range(recipe.steps):
        trainer.step(crops, generated)
    assert seen["corrupt"] == pytest.approx(20, abs=13)  # three standard deviations
    assert seen["round_trip"] == pytest.approx(90, abs=21)


def test_a_resumed_training_writes_the_same_discriminators(music: Path, codec: Checkpoint, tmp_path: Path) -> None:
    assert train_discriminators(music, codec, tmp_path / "run", tmp_path / "straight", TINY, report=quiet)
    done = [
        train_discriminators(music, codec, tmp_path / "pieces", tmp_path / "resumed", TINY, minutes=0.0, report=quiet)
        for _call in range(TINY.steps)
    ]
    assert done == [False, False, False, True]
    straight, resumed = (read_state(tmp_path / name / DISCRIMINATORS_FILE) for name in ("straight", "resumed"))
    assert straight["xp.cfg"] == resumed["xp.cfg"]
    for name, value in straight["best_state"].items():
        assert torch.equal(value, resumed["best_state"][name]), name


def test_written_discriminators_load_with_their_calibration(music: Path, codec: Checkpoint, tmp_path: Path) -> None:
    recipe = replace(TINY, steps=1)
    assert train_discriminators(music, codec, tmp_path / "run", tmp_path / "out", recipe, generated=music, report=quiet)
    loaded, config = load_discriminators(resolve(str(tmp_path / "out")))
    assert (config.sample_rate, config.window) == (SAMPLE_RATE, 4000)
    assert all(config.calibration[name].scale > 0 for name in DISCRIMINATORS)
    assert set(loaded) == set(DISCRIMINATORS)
    found = json.loads((tmp_path / "out" / REPORT_FILE).read_text())
    assert {"overall", "codec output", "generated"} <= found["test"].keys() <= {
        "overall", "codec output", "generated", *CORRUPTIONS
    }  # fmt: skip
    # Here the "generated" clips are the source clips themselves, so nothing can tell them apart.
    assert found["test"]["generated"]["auc"] == pytest.approx(0.5)


def test_only_audible_differences_remain_within_a_pair() -> None:
    torch.manual_seed(1)
    real = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(8000) / SAMPLE_RATE).expand(16, 1, -1)
    fake = 0.02 * torch.randn(16, 1, 8000) + 0.3
    real, fake, audible = alike(real, fake, SAMPLE_RATE)
    assert torch.equal(audible, torch.ones(16))
    assert torch.allclose(real.mean(dim=-1), fake.mean(dim=-1), atol=1e-3)
    level = loudness(real - real.mean(dim=-1, keepdim=True)) / loudness(fake - fake.mean(dim=-1, keepdim=True))
    unfiltered = level[(level - 1.0).abs() < 0.02]
    assert len(unfiltered) > 5  # the others are low-passed, which changes noise more than a tone
    for clips in (real, fake):
        assert clips.abs().max() < 1.0
        assert torch.equal(clips * 32768, (clips * 32768).round())


def test_silent_pairs_are_not_learned_from() -> None:
    clips = torch.full((2, 1, 4000), 1e-4) * torch.randn(2, 1, 4000)
    clips[1] = 0.1 * torch.randn(1, 4000)
    real, fake, audible = alike(clips, torch.randn(2, 1, 4000), SAMPLE_RATE)
    assert audible.tolist() == [0.0, 1.0]
    assert torch.isfinite(real).all()
    assert torch.isfinite(fake).all()


def test_a_codec_of_another_rate_gives_clips_of_the_same_length(codec: Checkpoint) -> None:
    clips = 0.1 * torch.randn(2, 1, 22_051)
    assert round_trip(load_codec(codec, CPU), clips, 22_050).shape == clips.shape


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_a_clip_and_stays_finite(name: str) -> None:
    clips = 0.1 * torch.randn(2, 1, 4000).cumsum(dim=-1) / 10
    corrupted = CORRUPTIONS[name](clips)
    assert corrupted.shape == clips.shape
    assert torch.isfinite(corrupted).all()
    assert (corrupted - clips).square().mean() > 1e-4 * clips.square().mean()


def test_files_are_split_by_their_paths_and_never_divided(music: Path) -> None:
    splits = split_files(music)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (8, 2, 2)
    assert len({*splits.train, *splits.validation, *splits.test}) == 12
    assert splits == split_files(music)


def test_a_manifest_decides_the_split(tmp_path: Path) -> None:
    clips = []
    for index, split in enumerate(("train", "train", "validation", "validation", "test", "test")):
        soundfile.write(tmp_path / f"{index}.wav", plucked_chords(index, 0.5), SAMPLE_RATE)
        clips.append(Clip(f"{index}.wav", split, index, 0.5, SAMPLE_RATE, ("chords",), {}, ""))
    write_manifest(tmp_path, clips)
    splits = split_files(tmp_path)
    assert [path.name for path in splits.test] == ["4.wav", "5.wav"]
    write_manifest(tmp_path, clips[:-1])
    with pytest.raises(InvalidRequest, match="1 test clips"):
        split_files(tmp_path)


def test_unusable_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"data=.*existing folder"):
        split_files(tmp_path / "nowhere")
    with pytest.raises(InvalidRequest, match=r"generated=.*audio files"):
        split_files(tmp_path, "generated")
    for index in range(9):
        soundfile.write(tmp_path / f"{index}.wav", np.zeros(800), SAMPLE_RATE)
    with pytest.raises(InvalidRequest, match="9 audio files: must be at least 10"):
        split_files(tmp_path)
    (tmp_path / "broken.wav").write_bytes(b"RIFF, or so")
    with pytest.raises(InvalidRequest, match=r"broken\.wav.*not a readable audio file"):
        split_files(tmp_path)


def test_silent_files_are_refused_for_calibration(tmp_path: Path, codec: Checkpoint) -> None:
    for index in range(10):
        soundfile.write(tmp_path / f"{index}.wav", np.zeros(8000), SAMPLE_RATE)
    with pytest.raises(InvalidRequest, match="only silent files"):
        train_discriminators(tmp_path, codec, tmp_path / "run", tmp_path / "out", replace(TINY, steps=1), report=quiet)
