"""The `gateway` command: what it says, what it refuses, how it logs, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from audiocraft_triton.gateway.settings import Settings

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer

PATIENCE = 120.0
PROJECT = Path(__file__).resolve().parents[2]
NOWHERE = "127.0.0.1:1"


class Running:
    """A gateway in a process of its own, and its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.text = ""
        self._queue: Queue[dict[str, Any] | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next line of an event that has these fields."""
        while True:
            line = self._queue.get(timeout=PATIENCE)
            assert line is not None, f"it ended before {event} {fields}:\n{self.text}"
            if line["event"] == event and fields.items() <= line.items():
                return line

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.text += text
            self._queue.put(json.loads(text))
        self._queue.put(None)


@contextmanager
def started(*options: str, **environment: str) -> Iterator[tuple[Running, str]]:
    """A gateway and its address, once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "audiocraft_triton", "gateway", "--port", "0", *options],
        cwd=PROJECT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        running = Running(process)
        yield running, running.until("listening")["url"]
    finally:
        process.kill()
        process.wait()


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "audiocraft_triton", "gateway", *options],
        cwd=PROJECT, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_help_teaches_every_setting() -> None:
    shown = run("--help").stdout
    for name in Settings.model_fields:
        assert f"AUDIOCRAFT_GATEWAY_{name.upper()}" in shown, name
        if name != "api_keys":  # others could read it in the list of processes
            assert f"--{name.replace('_', '-')}" in shown
    assert "--api-keys " not in shown


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--port", "70000"], {}, "port=70000"),
        (["--max-audio-seconds", "0"], {}, "max_audio_seconds=0"),
        (["--log-format", "xml"], {}, "log_format=xml"),
        (["--rate-limit", "lots"], {}, "rate_limit='lots'"),
        (["--api-keys-file", "/nowhere/keys"], {}, "api_keys_file=/nowhere/keys"),
        ([], {"AUDIOCRAFT_GATEWAY_STREAMS_PER_CLIENT": "0"}, "streams_per_client=0"),
        (["--host", "192.0.2.1", "--port", "0"], {}, "port 0 on 192.0.2.1 can't be used"),
    ],
)
def test_a_setting_that_can_not_be_used_is_named(options: list[str], environment: dict[str, str], words: str) -> None:
    ended = run(*options, **environment)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_said_kindly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port))
    assert ended.returncode == 2
    assert f"port {port} on 127.0.0.1 can't be used (Address already in use)" in ended.stderr
    assert "--port 0" in ended.stderr


def test_log_lines_are_json_and_tell_no_secrets() -> None:
    keys = {"AUDIOCRAFT_GATEWAY_API_KEYS": "a-secret-key", "AUDIOCRAFT_GATEWAY_API_KEYS_FILE": ""}
    with started("--triton", NOWHERE, **keys) as (gateway, url), httpx.Client(base_url=url) as http:
        headers = {"Authorization": "Bearer a-secret-key", "X-Request-ID": "mine-1"}
        answer = http.post("/generate/music", json={"text": "a-secret-prompt"}, headers=headers)
        assert answer.status_code == 503
        line = gateway.until("request", request_id="mine-1")
        http.get("/livez")
        http.get("/nowhere")
        gateway.until("request", status=401)
        assert "server" not in answer.headers
    assert line == {
        "event": "request", "level": "warning", "timestamp": line["timestamp"], "request_id": "mine-1",
        "method": "POST", "route": "/generate/music", "status": 503, "duration": line["duration"],
        "bytes": len(answer.content), "client": "key 1",
    }  # fmt: skip
    assert "secret" not in gateway.text
    assert "/livez" not in gateway.text, "probes that succeed are no news"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values(log_format: str) -> None:
    program = f"""
import structlog
from audiocraft_triton.gateway.observability.log import configure_logging
configure_logging("{log_format}")
def fail(prompt):
    raise RuntimeError("a bug")
try:
    fail("".join(["sec", "ret"]))
except RuntimeError:
    structlog.get_logger("gateway").exception("error")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "RuntimeError: a bug" in ended.stderr
    assert "secret" not in ended.stderr


def test_forwarded_addresses_are_believed_only_from_trusted_proxies() -> None:
    def statuses(url: str) -> list[int]:
        with httpx.Client(base_url=url) as http:
            return [
                http.get("/v1/nothing", headers={"X-Forwarded-For": f"192.0.2.{number}"}).status_code
                for number in range(3)
            ]

    limited = ("--triton", NOWHERE, "--rate-limit", "1/hour")
    with started(*limited) as (_, url):
        assert statuses(url) == [404, 429, 429]
    with started(*limited, "--trusted-proxies", "127.0.0.0/8") as (gateway, url):
        assert statuses(url) == [404, 404, 404]
        assert gateway.until("request")["client"] == "192.0.2.0"


def test_headers_have_a_bound() -> None:
    with started("--triton", NOWHERE) as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as caller:
            caller.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + bytes(b"x" * 100_000))
            assert re.match(rb"HTTP/1.1 4\d\d ", caller.recv(100))
        assert httpx.get(f"{url}/livez").status_code == 200


def test_sigterm_lets_a_stream_finish_and_takes_no_new_callers(server: EmbeddedServer) -> None:
    body = {"text": "calm solo piano", "duration": 120.0, "seed": 3, "format": "pcm"}
    with started("--triton", server.grpc_url) as (gateway, url), httpx.Client(timeout=PATIENCE) as http:
        with http.stream("POST", f"{url}/generate/music/stream", json=body) as stream:
            sound = stream.iter_bytes()
            size = len(next(sound))
            gateway.process.send_signal(signal.SIGTERM)
            gateway.until("Shutting down")
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{url}/livez")
            size += sum(len(piece) for piece in sound)
        assert size == 120 * 32_000 * 2
        assert gateway.process.wait(PATIENCE) == 0
        assert gateway.until("request")["status"] == 200


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_when_nothing_is_in_flight(stop: signal.Signals) -> None:
    with started("--triton", NOWHERE) as (gateway, url), httpx.Client(base_url=url) as http:
        assert http.get("/livez").status_code == 200  # and its connection stays open
        gateway.process.send_signal(stop)
        assert gateway.process.wait(PATIENCE) == 0
    assert "Traceback" not in gateway.text
