"""Training brings a codec's output closer to its input and resumes exactly; the result loads like any checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiocraft_triton.checkpoints.layout import CODEC_FILE, resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.reading import read_state
from audiocraft_triton.contract.errors import InvalidRequest
from training.adversary import AdversarySizes
from training.architecture import Kind
from training.audio_crops import audio_files, read_crop
from training.codec import CodecRecipe, train_codec

pytestmark = pytest.mark.usefixtures("one_thread")

PROJECT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
SAMPLE_RATE = 8000
KIND = Kind("tiny", SAMPLE_RATE, (8, 5, 4), 10.0, seed=1)
ADVERSARY = AdversarySizes(
    mpd={"periods": [2, 3], "filters": 2, "max_filters": 8, "kernel_sizes": [5, 3]},
    msd={"scale_norms": ["weight_norm"] * 2, "filters": 4, "max_filters": 8, "groups": [1] * 4},
    msstftd={"filters": 2, "n_ffts": [256], "hop_lengths": [64], "win_lengths": [256]},
)
TINY = CodecRecipe(
    KIND, filters=4, latent=16, card=16, steps=4, residual_layers=1, batch=4, seconds=0.5, adversarial_from=0.25,
    adversary_every=2, adversary=ADVERSARY, warm_up=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four files of two seconds: tones with falling loudness."""
    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for index, pitch in enumerate((110.0, 220.0, 330.0, 495.0)):
        tone = 0.4 * np.sin(2 * np.pi * pitch * time) * np.exp(-1.5 * (time % 0.5))
        soundfile.write(folder / f"{index}.wav", tone, SAMPLE_RATE)
    return folder


def quiet(_line: str) -> None:
    """Reports nothing."""


def weights(out: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_state(out / CODEC_FILE)["best_state"]
    return state


def error_of_reconstruction(out: Path, sounds: Path) -> float:
    """Returns the share of the sounds' energy that a codec loses, 0 … about 1."""
    codec = load_codec(resolve(str(out)), CPU)
    crops = [read_crop(path, SAMPLE_RATE, SAMPLE_RATE, 0.2) for path in audio_files(sounds)]
    clips = torch.from_numpy(np.stack(crops))[:, None]
    with torch.inference_mode():
        rebuilt = codec.decode(codec.encode(clips)[0])[..., : clips.shape[-1]]
    return float((rebuilt - clips).square().mean() / clips.square().mean())


def test_training_brings_the_output_closer_to_the_input(sounds: Path, tmp_path: Path) -> None:
    errors = {}
    for steps in (2, 60):
        recipe = replace(TINY, steps=steps, adversarial_from=0.8, learning_rate=5e-3, average_decay=0.5)
        assert train_codec(sounds, tmp_path / f"run{steps}", tmp_path / f"out{steps}", recipe, report=quiet)
        errors[steps] = error_of_reconstruction(tmp_path / f"out{steps}", sounds)
    assert errors[2] > 0.9
    assert errors[60] < 0.7


def test_a_resumed_training_writes_the_same_codec(sounds: Path, tmp_path: Path) -> None:
    assert train_codec(sounds, tmp_path / "run", tmp_path / "straight", TINY, report=quiet)
    done = [
        train_codec(sounds, tmp_path / "pieces", tmp_path / "resumed", TINY, minutes=0.0, report=quiet)
        for _call in range(TINY.steps)
    ]
    assert done == [False, False, False, True]
    straight, resumed = weights(tmp_path / "straight"), weights(tmp_path / "resumed")
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name


def test_codes_are_final_once_the_codec_is_written_while_its_decoder_keeps_learning(
    sounds: Path, tmp_path: Path
) -> None:
    clip = torch.from_numpy(read_crop(audio_files(sounds)[0], SAMPLE_RATE, SAMPLE_RATE, 0.0))[None, None]
    codes, rebuilt = [], []
    for step in range(TINY.steps):
        train_codec(sounds, tmp_path / "run", tmp_path / "out", TINY, minutes=0.0, report=quiet)
        if step < TINY.adversarial_from * TINY.steps:
            assert not (tmp_path / "out").exists()
            continue
        codec = load_codec(resolve(str(tmp_path / "out")), CPU)
        with torch.inference_mode():
            codes.append(codec.encode(clip)[0])
            rebuilt.append(codec.decode(codes[-1]))
    assert codes[0].shape == (1, 4, 50)
    assert all(torch.equal(codes[0], later) for later in codes[1:])
    assert not torch.equal(rebuilt[0], rebuilt[-1])


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="data"):
        train_codec(tmp_path, tmp_path / "run", tmp_path / "out", TINY, report=quiet)


def test_two_processes_train_one_codec(sounds: Path, tmp_path: Path) -> None:
    program = Path(__file__).with_name("train_codec_in_processes.py")
    finished = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(program), str(sounds), str(tmp_path)],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert "2 processes agree" in finished.stdout
    assert load_codec(resolve(str(tmp_path / "out")), CPU).sample_rate == SAMPLE_RATE
