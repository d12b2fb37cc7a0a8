"""Clients that disconnect leave nothing behind: no slot, no file, no task, no connection."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer

LONG = {"text": "calm solo piano", "duration": 120.0, "chunk_seconds": 0.5}
PATIENCE = 120.0


def test_fifty_who_hang_up_midway_leave_nothing(start_gateway, server: EmbeddedServer) -> None:
    gateway = start_gateway(streams_per_client=100)
    with gateway.client() as http:
        assert http.post("/generate/music", json={"text": "", "duration": 0.2}).status_code == 200
    # The file descriptors of Triton's side are gRPC's own, shared by all requests.
    files, leftovers = _open_files(), _temporary_files()
    callers = []
    for index in range(50):
        if index % 3 == 0:
            callers.append(_begin(gateway.port, "/generate/music/stream", {**LONG, "seed": index}))
        elif index % 3 == 1:
            callers.append(_begin(gateway.port, "/generate/music", {"text": "", "duration": 120.0, "seed": index}))
        else:
            callers.append(_begin_upload(gateway.port))
    _until(lambda: _busy(server) >= 8, "requests reach Triton")
    _until(lambda: any(_has_answer(caller) for caller in callers[::3]), "a stream begins")
    for caller in callers:
        caller.close()
    _until(lambda: _busy(server) == 0, "slots and queue are empty")
    _until(lambda: _open_files() <= files, "connections and files are closed")
    _until(lambda: _temporary_files() <= leftovers, "temporary files are gone")
    with gateway.client() as http:
        answer = http.post("/generate/music", json={"text": "still there", "duration": 0.2})
    assert answer.status_code == 200


def _begin(port: int, path: str, body: dict[str, object]) -> socket.socket:
    content = json.dumps(body).encode()
    caller = socket.create_connection(("127.0.0.1", port))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    caller.sendall(head.encode() + content)
    return caller


def _begin_upload(port: int) -> socket.socket:
    """Half of a file that is large enough to be spooled to disk."""
    caller = socket.create_connection(("127.0.0.1", port))
    head = (
        "POST /analyze HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 8000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\n"
    )
    caller.sendall(head.encode() + bytes(2_000_000))
    return caller


def _has_answer(caller: socket.socket) -> bool:
    readable, _, _ = select.select([caller], [], [], 0)
    return bool(readable)


def _busy(server: EmbeddedServer) -> int:
    with urllib.request.urlopen(server.metrics_url) as answer:
        text = answer.read().decode()
    gauges = re.findall(r"^audiocraft_(?:active_slots|waiting_requests)\{[^}]*} (\S+)", text, re.MULTILINE)
    return round(sum(float(value) for value in gauges))


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _temporary_files() -> set[Path]:
    return {path for path in Path(tempfile.gettempdir()).iterdir() if not path.name.startswith("pytest")}


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)
