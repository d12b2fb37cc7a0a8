"""The container's entry point: runs tritonserver, and lets what is in flight finish before it ends.

    python3 -m audiocraft_triton.serving.container [--any-tritonserver-option …]

tritonserver closes its doors as soon as it is told to end, and drops what it has not finished within its exit timeout.
So this process takes SIGTERM in its place, waits until nobody is served any more, and only then passes it on.

Environment: AUDIOCRAFT_MODEL_REPOSITORY, AUDIOCRAFT_DRAIN_SECONDS, AUDIOCRAFT_ADMIN_KEY, and what the models read.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from audiocraft_triton.serving.arguments import SERVING_ARGUMENTS
from audiocraft_triton.serving.child import die_with_parent, kill_group
from audiocraft_triton.serving.repository import MODEL_REPOSITORY

TRITONSERVER = "tritonserver"
ADMIN_APIS = "shared-memory,model-repository,trace,logging"
ADMIN_HEADER = "admin-key"
MAX_REQUEST_BYTES = 96 * 1024 * 1024
"""An audio file of 64 MiB, in base64."""
EXIT_SECONDS = 30
"""Of tritonserver itself, after the drain: for what does not count as a generation, such as a decode by diffusion."""
END_SECONDS = EXIT_SECONDS + 10
"""From the end of the drain until it is killed: who kills this process must wait for both, and longer."""
CONNECTION_MILLISECONDS = 30_000
POLL_SECONDS = 0.5
QUIET_POLLS = 3
"""The engines publish their counts four times a second: once quiet proves little."""
_BUSY = re.compile(
    r"^(?:audiocraft_active_slots|audiocraft_waiting_requests|nv_inference_pending_request_count)(?:\{[^}]*})? (\S+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """How to serve.

    Attributes:
        repository: the model repository.
        drain_seconds: how long what is in flight may take to finish; the longest clip is 300 s.
        admin_key: opens the restricted doors, as header `admin-key` (gRPC: `triton-grpc-protocol-admin-key`).
    """

    repository: Path
    drain_seconds: float
    admin_key: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ContainerOptions:
        """From the environment.

        Raises:
            ValueError: a value that can't be used; the message names it.
        """
        repository = Path(environment.get("AUDIOCRAFT_MODEL_REPOSITORY") or MODEL_REPOSITORY)
        if not repository.is_dir():
            raise ValueError(f"AUDIOCRAFT_MODEL_REPOSITORY={repository}: is not a folder")
        given = environment.get("AUDIOCRAFT_DRAIN_SECONDS") or "330"
        try:
            drain_seconds = float(given)
        except ValueError:
            drain_seconds = -1.0
        if not 0 <= drain_seconds <= 86_400:
            raise ValueError(f"AUDIOCRAFT_DRAIN_SECONDS={given}: must be between 0 and 86,400 seconds")
        # Without a key nobody may use these doors.
        admin_key = environment.get("AUDIOCRAFT_ADMIN_KEY") or secrets.token_hex(32)
        if not re.fullmatch(r"[\w.-]{16,256}", admin_key):
            raise ValueError("AUDIOCRAFT_ADMIN_KEY: must be 16 to 256 letters, digits, dots, dashes or underscores")
        return cls(repository, drain_seconds, admin_key)


def command_line(options: ContainerOptions, known_flags: str, extra: Sequence[str]) -> list[str]:
    """tritonserver's command line.

    Args:
        known_flags: what `tritonserver --help` says: some limits exist in newer releases only.
        extra: appended, so it wins.
    """
    restricted = f"{ADMIN_APIS}:{ADMIN_HEADER}={options.admin_key}"
    arguments = [
        TRITONSERVER,
        f"--model-repository={options.repository}",
        *SERVING_ARGUMENTS,
        f"--http-restricted-api={restricted}",
        f"--grpc-restricted-protocol={restricted}",
        f"--exit-timeout-secs={EXIT_SECONDS}",
        # Callers look for other servers when they connect anew; what is in flight on an old connection finishes there.
        f"--grpc-max-connection-age={CONNECTION_MILLISECONDS}",
        "--log-format=ISO8601",
    ]
    limits = {"--http-max-input-size": MAX_REQUEST_BYTES, "--grpc-max-response-pool-size": 64}
    arguments += [f"{flag}={value}" for flag, value in limits.items() if flag in known_flags]
    return [*arguments, *extra]


def in_flight(metrics_url: str) -> int:
    """How many requests are served, or wait; 0 too where nothing answers: that server serves nobody."""
    try:
        with urllib.request.urlopen(metrics_url, timeout=5) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return 0
    return round(sum(float(value) for value in _BUSY.findall(text)))


class Supervisor:
    """tritonserver and the signals meant for it.

    Args:
        command: its command line.
        metrics_url: where it counts.
        drain_seconds: how long to wait for what is in flight.
    """

    def __init__(self, command: Sequence[str], metrics_url: str, drain_seconds: float) -> None:
        self._metrics_url = metrics_url
        self._drain_seconds = drain_seconds
        self._asked = threading.Event()
        self._asked_again = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        # Of its own session: a terminal's Ctrl-C reaches us alone.
        self._process = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)

    def run(self) -> int:
        """Until tritonserver ends. Returns the exit status: 128 + n where signal n ended it."""
        while self._process.poll() is None and not self._asked.wait(POLL_SECONDS):
            pass
        if self._process.poll() is None:
            self._drain()
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        status = self._process.wait()
        # Models that did not end with it: each is a process of its own, in its session.
        kill_group(self._process.pid)
        return status if status >= 0 else 128 - status

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        (self._asked_again if self._asked.is_set() else self._asked).set()

    def _drain(self) -> None:
        deadline = time.monotonic() + self._drain_seconds
        quiet, shown = 0, -1
        while quiet < QUIET_POLLS and self._process.poll() is None:
            busy = in_flight(self._metrics_url)
            if busy != shown:
                _say(f"draining: {busy} in flight")
                shown = busy
            quiet = quiet + 1 if busy == 0 else 0
            if time.monotonic() > deadline:
                _say(f"{busy} in flight after {self._drain_seconds:g} seconds: ending all the same")
                return
            if self._asked_again.wait(POLL_SECONDS):
                _say("asked again: ending at once")
                return


def main(extra: Sequence[str]) -> int:
    """Serves until told to end. Returns the exit status."""
    try:
        options = ContainerOptions.of(os.environ)
    except ValueError as error:
        _say(str(error))
        return 2
    known_flags = subprocess.run([TRITONSERVER, "--help"], capture_output=True, text=True, check=False)
    command = command_line(options, known_flags.stdout + known_flags.stderr, extra)
    metrics_url = f"http://127.0.0.1:{_metrics_port(extra)}/metrics"
    return Supervisor(command, metrics_url, options.drain_seconds).run()


def _metrics_port(extra: Sequence[str]) -> int:
    ports = [argument.partition("=")[2] for argument in extra if argument.startswith("--metrics-port=")]
    return int(ports[-1]) if ports else 8002


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
