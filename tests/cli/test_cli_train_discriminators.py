"""The command that trains discriminators: from a folder of audio to a checkpoint, and what it says when it can't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.cli.main import app
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import load_discriminators

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLE_RATE = 16_000


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files of one second: notes."""
    folder = tmp_path_factory.mktemp("source")
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for index in range(12):
        tone = 0.3 * np.sin(2 * np.pi * 110 * 2 ** (index / 6) * time) * np.exp(-3 * time)
        soundfile.write(folder / f"{index}.wav", tone, SAMPLE_RATE)
    return folder


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train-discriminators", *map(str, arguments)])


def test_a_folder_of_audio_becomes_calibrated_discriminators(
    demo_checkpoints: Path, music: Path, tmp_path: Path
) -> None:
    assert demo_checkpoints.is_dir()
    command = ("--codec", "demo", "--data", music, "--out", tmp_path, "--steps", 2, "--batch", 1)
    first = train(*command, "--minutes", 0)
    assert first.exit_code == 3, first.output
    assert "1 of 2 steps are done" in first.output
    second = train(*command)
    assert second.exit_code == 0, second.output
    assert "resumed at step 1 of 2" in second.output
    assert f"audiocraft-triton export --checkpoint demo --discriminators {tmp_path}" in second.output
    for word in ("AUC", "ECE", "overall", "codec output"):
        assert word in second.output
    _discriminators, config = load_discriminators(resolve(str(tmp_path)))
    assert all(config.calibration[name].scale > 0 for name in DISCRIMINATORS)
    changed = train(*command[:-1], 2)
    assert changed.exit_code == 2
    assert "another batch: choose another folder" in changed.output


def test_what_is_missing_is_named(demo_checkpoints: Path, music: Path, tmp_path: Path) -> None:
    assert demo_checkpoints.is_dir()
    for arguments, message in (
        (("--codec", "nothing", "--data", music), "unknown checkpoint 'nothing'"),
        (("--codec", tmp_path, "--data", music), "compression_state_dict"),
        (("--codec", "demo", "--data", tmp_path / "nowhere"), "must be an existing folder"),
        (("--codec", "demo", "--data", tmp_path), "must be a folder with audio files"),
        (("--codec", "demo", "--data", music, "--generated", tmp_path), "generated="),
    ):
        result = train(*arguments, "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert message in result.output
    assert not (tmp_path / "out").exists()
