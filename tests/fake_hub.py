"""A small server that speaks the model hub's protocol, for the hub's own client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT, NEWER = "a" * 40, "b" * 40


@contextmanager
def running_hub(checkpoint: Path, name: str) -> Iterator[Hub]:
    """A hub that has one checkpoint of audiocraft's layout under this name, and its T5 as `t5`."""
    with Hub() as server:
        server.add(name, checkpoint, "state_dict.bin", "compression_state_dict.bin")
        server.add("t5", checkpoint / "t5", *(path.name for path in (checkpoint / "t5").iterdir()))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Hub(ThreadingHTTPServer):
    """A hub on a free loopback port, with repositories in memory; files of more than 100 kB count as large.

    Attributes:
        repositories: name -> file -> content.
        commits: name -> commit of `main`.
        spoiled: files whose content differs from what the hub says of it.
        cut: files of which the first download breaks off in the middle.
        gated: repositories that need a token.
        asked: (method, path, Range header) of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.commits: dict[str, str] = {}
        self.spoiled: set[str] = set()
        self.cut: set[str] = set()
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, folder: Path, *files: str) -> None:
        """Publishes these files of a folder."""
        self.repositories[name] = {file: (folder / file).read_bytes() for file in files}
        self.commits[name] = COMMIT

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a client that stops reading is expected."""


class HubHandler(BaseHTTPRequestHandler):
    """The part of the hub's protocol that its client needs: describe a commit, send a file or the rest of one."""

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
