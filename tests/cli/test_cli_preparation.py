"""What is made before a server starts, and what is never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.preparation import export_if_needed
from engine.errors import CheckpointError


def test_missing_demo_checkpoints_are_built_and_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = tmp_path / "deep" / "demo"
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(demo))
    told: list[str] = []
    export_if_needed("demo", tmp_path / "repository", report=told.append)
    assert (demo / "sound" / "state_dict.bin").is_file()
    assert (tmp_path / "repository" / "mpd" / "1" / "model.pt").is_file()
    assert [path.name for path in demo.parent.iterdir()] == ["demo"]
    told.clear()
    export_if_needed("demo", tmp_path / "repository", report=told.append)
    assert told == ["the models exported from demo are up to date"]


def test_an_incomplete_demo_folder_is_named_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "demo" / "music" / "state_dict.bin"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"weights that took weeks")
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path / "demo"))
    with pytest.raises(CheckpointError, match=r"has no compression_state_dict\.bin"):
        export_if_needed("demo", tmp_path / "repository", report=lambda _line: None)
    assert mine.read_bytes() == b"weights that took weeks"
    assert not (tmp_path / "repository").exists()
