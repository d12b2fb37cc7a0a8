"""Reading the manifest that an export wrote next to a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.torchscript.exported import read_manifest


def write(repository: Path, content: str) -> Path:
    path = repository / "mpd" / "1" / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, '{"sample_rate": 32000, "window": 64000}')
    assert read_manifest(tmp_path, "mpd") == {"sample_rate": 32000, "window": 64000}


def test_a_model_that_was_not_exported_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"^msd has not been exported \(.*manifest\.json is missing\); run: "
    ) as caught:
        read_manifest(tmp_path, "msd")
    assert str(caught.value).endswith("audiocraft-triton export --checkpoint demo")


@pytest.mark.parametrize("content", ["", "{", '{"sample_rate": 32'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        read_manifest(tmp_path, "mpd")
    assert str(path) in str(caught.value)
