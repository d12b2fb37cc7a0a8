"""What this machine tells pip about package indexes, in a form that also holds inside a container being built."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_INDEXES = ("index-url", "extra-index-url", "find-links")
_KEPT = ("trusted-host", "default-timeout", "retries")


@contextmanager
def pip_configuration() -> Iterator[str]:
    """Gives the text of a pip.conf, and serves the folders that it names on a loopback port meanwhile.

    Builds share the host's network, so that loopback is theirs too.
    """
    settings = _settings()
    folders = [_folder(location) for key in _INDEXES for location in settings.get(key, "").split()]
    handler = partial(_OnlyBelow, allowed=[folder.parent for folder in folders if folder is not None])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lines = ["[global]", f"cert = {CERTIFICATES}"]
        for key in (*_INDEXES, *_KEPT):
            locations = [_served(location, server.server_port) for location in settings.get(key, "").split()]
            if locations:
                lines.append(f"{key} = {' '.join(locations)}")
        try:
            yield "\n".join(lines) + "\n"
        finally:
            server.shutdown()


class _OnlyBelow(SimpleHTTPRequestHandler):
    """Files below some folders, under their own paths; nothing else of this machine."""

    def __init__(self, *arguments: object, allowed: list[Path]) -> None:
        self._allowed = allowed
        super().__init__(*arguments, directory="/")  # type: ignore[arg-type]

    def send_head(self) -> object:  # type: ignore[override]
        path = Path(self.translate_path(self.path)).resolve()
        if not any(path.is_relative_to(folder) for folder in self._allowed):
            self.send_error(404)
            return None
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Says nothing: one line a file would drown the tests' own."""


def _settings() -> dict[str, str]:
    """pip's own view of its files and environment: the variables come last, and win."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.partition("=") for line in listed.splitlines() if "=" in line]
    ordered = sorted(rows, key=lambda row: row[0].startswith(":env:"))
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in ordered}


def _folder(location: str) -> Path | None:
    """The local folder that an index or a `find-links` entry names; None where it is on the network."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path)).resolve()


def _served(location: str, port: int) -> str:
    folder = _folder(location) if "/" in location else None
    return location if folder is None else f"http://127.0.0.1:{port}{folder}/"
