"""What is exported before a server starts, and what is not exported again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiocraft_triton.cli.preparation import export_if_needed, prepare_to_serve
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.serving.repository import MODEL_REPOSITORY


def test_models_are_exported_once(demo_checkpoints: Path, tmp_path: Path) -> None:
    assert demo_checkpoints.is_dir()
    told: list[str] = []
    export_if_needed("demo", tmp_path / "repository", report=told.append)
    assert (tmp_path / "repository" / "mpd" / "1" / "model.pt").is_file()
    told.clear()
    export_if_needed("demo", tmp_path / "repository", report=told.append)
    assert told == ["the models exported from demo are up to date"]


def test_an_empty_folder_becomes_a_whole_repository(demo_checkpoints: Path, tmp_path: Path) -> None:
    assert demo_checkpoints.is_dir()
    export_if_needed("demo", tmp_path, report=lambda _line: None)
    served = {config.parent.name for config in MODEL_REPOSITORY.glob("*/config.pbtxt")}
    assert {config.parent.name for config in tmp_path.glob("*/config.pbtxt")} == served


def test_missing_demo_checkpoints_are_named_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path / "demo"))
    with pytest.raises(CheckpointError, match="checkpoint 'demo' is missing"):
        export_if_needed("demo", tmp_path / "repository", report=lambda _line: None)
    assert not list(tmp_path.iterdir())


def test_an_incomplete_demo_folder_is_named_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "demo" / "music" / "state_dict.bin"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"weights that took weeks")
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path / "demo"))
    with pytest.raises(CheckpointError, match=r"nor compression_state_dict\.bin"):
        export_if_needed("demo", tmp_path / "repository", report=lambda _line: None)
    assert mine.read_bytes() == b"weights that took weeks"
    assert not (tmp_path / "repository").exists()


def test_a_checkpoint_that_was_exported_into_the_default_repository_is_not_replaced_by_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOCRAFT_MODEL_REPOSITORY", str(tmp_path))
    manifest = tmp_path / "encodec_encoder" / "1" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"checkpoint": "facebook/musicgen-small"}))
    prepare_to_serve(tmp_path)
    assert [path.parent.parent.name for path in tmp_path.glob("*/1/manifest.json")] == ["encodec_encoder"]
    assert (tmp_path / "musicgen" / "config.pbtxt").is_file()


def test_a_repository_that_was_named_is_served_as_it_is(tmp_path: Path) -> None:
    prepare_to_serve(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_demo_that_can_not_be_exported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("AUDIOCRAFT_MODEL_REPOSITORY", str(tmp_path / "repository"))
    with pytest.raises(CheckpointError, match="exporting the demo's models ended with status 2"):
        prepare_to_serve(tmp_path / "repository")
