"""Fetching from a hub: the real hub client against a small server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from audiocraft_triton.checkpoints.hub import fetch
from audiocraft_triton.checkpoints.lock import LOCK_FILE
from audiocraft_triton.cli.main import app
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from audiocraft_triton.engine.engine import Engine

NAME = "facebook/musicgen-tiny"
COMMIT, NEWER = "a" * 40, "b" * 40


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name -> file -> content; large files are those of more than 100 kB.

    Attributes:
        spoiled: files whose content differs from what the hub says of it.
        cut: files of which the first download breaks off in the middle.
        asked: the paths that were asked for.
        commits: name -> commit of `main`.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubDoor)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.commits: dict[str, str] = {}
        self.spoiled: set[str] = set()
        self.cut: set[str] = set()
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str, str | None]] = []

    def add(self, name: str, folder: Path, *files: str) -> None:
        self.repositories[name] = {file: (folder / file).read_bytes() for file in files}
        self.commits[name] = COMMIT

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that stops reading is no news."""


class HubDoor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if path.startswith("api/models/"):
            name, _, revision = path.removeprefix("api/models/").partition("/revision/")
            self._describe(name, revision)
        else:
            name, _, rest = path.partition("/resolve/")
            revision, _, file = rest.partition("/")
            self._send_file(name, revision, file)

    def _known(self, name: str, revision: str) -> bool:
        if name not in self.server.repositories:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif name in self.server.gated:
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif revision not in ("main", COMMIT, NEWER):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            return True
        return False

    def _describe(self, name: str, revision: str) -> None:
        if not self._known(name, revision):
            return
        siblings = []
        for file, content in self.server.repositories[name].items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": blob}
            if len(content) > 100_000:
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        commit = self.server.commits[name] if revision == "main" else revision
        self._answer(200, json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode())

    def _send_file(self, name: str, revision: str, file: str) -> None:
        if not self._known(name, revision):
            return
        content = self.server.repositories[name][file]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": revision,
            "Accept-Ranges": "bytes",
        }
        if file in self.server.spoiled:
            content = bytes(len(content))
        start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        status = 200
        if start:
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = None
        if self.command == "GET" and file in self.server.cut:
            self.server.cut.discard(file)
            cut = (len(content) - start) // 2
        self._answer(status, content[start:], headers, cut)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def hub(demo_checkpoints: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    music = demo_checkpoints / "music"
    with Hub() as server:
        server.add(NAME, music, "state_dict.bin", "compression_state_dict.bin")
        server.add("t5", music / "t5", *(path.name for path in (music / "t5").iterdir()))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
        yield server
        server.shutdown()


def quiet(_line: str) -> None:
    pass


def test_what_is_fetched_is_served_without_hub_and_pickle(hub: Hub, tmp_path: Path, demo_checkpoints: Path) -> None:
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
    assert lines == [f"{NAME} at {COMMIT} is there already"]
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
    with pytest.raises(CheckpointError, match=r"state_dict.bin of .*the lock says otherwise"):
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


def test_a_download_that_broke_off_goes_on(hub: Hub, tmp_path: Path) -> None:
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
        ({"names": ["t5"]}, "is no audiocraft checkpoint"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_lacks_is_said(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        fetch(**{"names": [NAME], "out": tmp_path, "report": quiet, **change})


def test_a_gated_repository_asks_for_a_token(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(NAME)
    with pytest.raises(CheckpointError, match="is gated: accept its terms"):
        fetch([NAME], tmp_path, report=quiet)


@pytest.mark.usefixtures("hub")
def test_a_folder_of_somebody_elses_stays(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "notes.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="holds something that was not fetched"):
        fetch([NAME], tmp_path, report=quiet)


@pytest.mark.usefixtures("hub")
def test_no_hub_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
