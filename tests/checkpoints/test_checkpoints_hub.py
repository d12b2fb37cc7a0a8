"""Fetching from a hub, with the real hub client and a small server that speaks the hub's protocol."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_hub import COMMIT, NEWER, Hub, running_hub
from typer.testing import CliRunner

from audiocraft_triton.checkpoints.hub import fetch
from audiocraft_triton.checkpoints.lock import LOCK_FILE
from audiocraft_triton.cli.main import app
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from audiocraft_triton.engine.engine import Engine

NAME = "facebook/musicgen-tiny"


@pytest.fixture
def hub(demo_checkpoints: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(demo_checkpoints / "music", NAME) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
        yield server


def quiet(_line: str) -> None:
    pass


def test_a_fetched_checkpoint_is_served_without_hub_or_pickle(hub: Hub, tmp_path: Path, demo_checkpoints: Path) -> None:
    lock = fetch([NAME], tmp_path, report=quiet)
    hub.shutdown()
    folder = tmp_path / NAME
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".json", ".safetensors", ".model"}
    assert not any((tmp_path / ".downloads").iterdir())
    assert lock["repositories"][NAME]["revision"] == COMMIT
    assert set(lock["repositories"]) == {NAME, "t5"}
    assert json.loads((tmp_path / LOCK_FILE).read_text()) == lock == json.loads((folder / LOCK_FILE).read_text())
    clips = []
    for checkpoint in (folder, demo_checkpoints / "music"):
        engine = Engine(str(checkpoint))
        clips.append(engine.generate("calm piano", duration=0.5, seed=3).waveform)
        engine.close()
    np.testing.assert_array_equal(*clips)


def test_a_second_call_verifies_and_downloads_nothing(hub: Hub, tmp_path: Path) -> None:
    fetch([NAME], tmp_path, report=quiet)
    hub.asked.clear()
    lines: list[str] = []
    fetch([NAME], tmp_path, report=lines.append)
    assert hub.asked == []
    assert lines == [f"{NAME} at {COMMIT} is already there"]
    weights = tmp_path / NAME / "state_dict.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"state_dict.safetensors is not what was fetched"):
        fetch([NAME], tmp_path, report=quiet)


def test_a_lock_fetches_the_same_commits_although_main_has_moved(hub: Hub, tmp_path: Path) -> None:
    fetch([NAME], tmp_path / "first", report=quiet)
    hub.commits[NAME] = NEWER
    lock = tmp_path / "first" / LOCK_FILE
    again = fetch([NAME], tmp_path / "second", lock=lock, report=quiet)
    assert again == json.loads(lock.read_text())
    assert fetch([NAME], tmp_path / "third", report=quiet)["repositories"][NAME]["revision"] == NEWER
    with pytest.raises(InvalidRequest, match=f"holds revision {COMMIT}"):
        fetch([NAME], tmp_path / "first", revision=NEWER, report=quiet)


def test_other_bytes_at_the_locked_commit_are_refused(hub: Hub, tmp_path: Path) -> None:
    fetch([NAME], tmp_path / "first", report=quiet)
    hub.repositories[NAME]["state_dict.bin"] += b"appended"
    with pytest.raises(CheckpointError, match=r"state_dict.bin of .*the lock has another"):
        fetch([NAME], tmp_path / "second", lock=tmp_path / "first" / LOCK_FILE, report=quiet)
    assert not (tmp_path / "second" / NAME).exists()


@pytest.mark.parametrize("file", ["compression_state_dict.bin", "config.json"])
def test_a_spoiled_download_is_refused_and_removed(hub: Hub, tmp_path: Path, file: str) -> None:
    hub.spoiled.add(file)
    with pytest.raises(CheckpointError, match=f"{file} of .*; it was removed"):
        fetch([NAME], tmp_path, report=quiet)
    assert not (tmp_path / NAME).exists()
    hub.spoiled.clear()
    fetch([NAME], tmp_path, report=quiet)
    assert (tmp_path / NAME / LOCK_FILE).is_file()


def test_an_interrupted_download_resumes(hub: Hub, tmp_path: Path) -> None:
    hub.cut.add("state_dict.bin")
    fetch([NAME], tmp_path, report=quiet)
    downloads = [path for method, path, _ in hub.asked if method == "GET" and path.endswith("/state_dict.bin")]
    assert len(downloads) == 2
    assert (tmp_path / NAME / LOCK_FILE).is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["facebook/nothing"]}, "the hub has no facebook/nothing"),
        ({"revision": "v9"}, "has no revision v9"),
        ({"names": ["t5"]}, "is not an audiocraft checkpoint"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_an_error_names_what_the_hub_lacks(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        fetch(**{"names": [NAME], "out": tmp_path, "report": quiet, **change})


def test_the_error_for_a_gated_repository_asks_for_a_token(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(NAME)
    with pytest.raises(CheckpointError, match="is gated: accept its terms"):
        fetch([NAME], tmp_path, report=quiet)


@pytest.mark.usefixtures("hub")
def test_a_folder_that_fetch_did_not_write_stays_unchanged(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "notes.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="holds files that were not fetched"):
        fetch([NAME], tmp_path, report=quiet)


@pytest.mark.usefixtures("hub")
def test_a_missing_hub_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="can't be fetched"):
        fetch([NAME], tmp_path, report=quiet)


@pytest.mark.usefixtures("hub")
def test_the_command_prepares_models_for_pods(tmp_path: Path) -> None:
    run = CliRunner()
    models = tmp_path / "models"
    answer = run.invoke(app, ["fetch", NAME, "--out", str(models), "--lm", "int8"])
    assert answer.exit_code == 0, answer.output
    assert "CC-BY-NC 4.0" in answer.output
    repository = models / "repositories" / "tiny"
    answer = run.invoke(app, ["export", "--checkpoint", str(models / NAME), "--repository", str(repository)])
    assert answer.exit_code == 0, answer.output
    assert (repository / "encodec_encoder" / "1" / "model.pt").is_file()
    assert (repository / "musicgen_stream" / "config.pbtxt").is_file()
    shutil.rmtree(repository)
    bad = run.invoke(app, ["fetch", NAME, "--out", str(models), "--revision", "main", "--lock", "x"])
    assert bad.exit_code == 2
    assert "exclude each other" in bad.output
