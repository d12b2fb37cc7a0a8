"""The container's entry point: runs tritonserver, and lets requests in flight finish before it ends.

    python3 -m audiocraft_triton.serving.container [--any-tritonserver-option …]

When told to end, tritonserver refuses new requests at once and drops those that it has not finished within its exit
timeout. So this process receives SIGTERM instead, waits until no request is in flight, and only then passes it on.
It also starts tritonserver once more if it crashes while loading its models.

Environment: AUDIOCRAFT_MODEL_REPOSITORY, AUDIOCRAFT_DRAIN_SECONDS, AUDIOCRAFT_ADMIN_KEY, and the models' settings.
"""

from __future__ import annotations

import http.client
import math
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from audiocraft_triton.contract.limits import (
    DRAIN_SECONDS,
    MAX_SECONDS,
    MAX_TIMEOUT,
    MAX_TRITON_REQUEST_BYTES,
    MIN_CHUNK_SECONDS,
)
from audiocraft_triton.serving.arguments import SERVING_ARGUMENTS
from audiocraft_triton.serving.child import (
    CrashedWhileLoading,
    crashed,
    die_with_parent,
    kill_group,
    remove_shared_memory,
    with_second_start,
)
from audiocraft_triton.serving.connections import all_idle
from audiocraft_triton.serving.repository import MODEL_REPOSITORY, VARIABLE

TRITONSERVER = "tritonserver"
ADMIN_APIS = "shared-memory,model-repository,trace,logging"
ADMIN_HEADER = "admin-key"
MAX_RESPONSES = math.ceil(MAX_SECONDS / MIN_CHUNK_SECONDS) + 1
"""Responses of one stream at most: the longest clip in the shortest chunks, and the final response. With a pool of this
size a caller that reads slowly never blocks a thread of its model: those threads are few and serve all streams."""
EXIT_SECONDS = 30
"""tritonserver's own exit timeout after the drain, for other requests than generations, such as a diffusion decode."""
END_SECONDS = EXIT_SECONDS + 10
"""Seconds from the end of the drain until tritonserver is killed. Whatever kills this process must wait longer than the
drain and this together."""
IDLE_SECONDS = 5
"""Seconds after all HTTP connections became idle until tritonserver is killed: it waits for open ones before it ends,
for its whole exit timeout if a caller keeps an idle one open, and then ends with status 1."""
CONNECTION_MILLISECONDS = 30_000
LOADED = "all models are loaded"
"""Logged once: a crash after it ends this process, and a crash before it gets one more start."""
POLL_SECONDS = 0.5
QUIET_POLLS = 3
"""Consecutive polls without requests that end the drain: engines publish their counts only four times a second, so one
poll is not enough."""
_BUSY = re.compile(
    r"^(?:audiocraft_active_slots|audiocraft_waiting_requests|audiocraft_diffusing_requests"
    r"|nv_inference_pending_request_count)(?:\{[^}]*})? (\S+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """Options of the container.

    Attributes:
        repository: the model repository.
        drain_seconds: how long requests in flight may take to finish; the longest clip is 300 s.
        admin_key: required by the restricted APIs, in the header `admin-key` (gRPC: `triton-grpc-protocol-admin-key`).
    """

    repository: Path
    drain_seconds: float
    admin_key: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ContainerOptions:
        """Reads the options from the environment.

        Raises:
            ValueError: a value can't be used; the message names it.
        """
        repository = Path(environment.get(VARIABLE) or MODEL_REPOSITORY)
        if not repository.is_dir():
            raise ValueError(f"{VARIABLE}={repository}: is not a folder")
        given = environment.get("AUDIOCRAFT_DRAIN_SECONDS") or str(DRAIN_SECONDS)
        try:
            drain_seconds = float(given)
        except ValueError:
            drain_seconds = -1.0
        if not 0 <= drain_seconds <= MAX_TIMEOUT:
            raise ValueError(f"AUDIOCRAFT_DRAIN_SECONDS={given}: must be between 0 and {MAX_TIMEOUT:,} seconds")
        # Without a given key, a random one closes the restricted APIs to everybody.
        admin_key = environment.get("AUDIOCRAFT_ADMIN_KEY") or secrets.token_hex(32)
        if not re.fullmatch(r"[\w.-]{16,256}", admin_key):
            raise ValueError("AUDIOCRAFT_ADMIN_KEY: must be 16 to 256 letters, digits, dots, dashes or underscores")
        return cls(repository, drain_seconds, admin_key)


def command_line(
    options: ContainerOptions, known_flags: str, shared_memory_prefix: str, extra: Sequence[str]
) -> list[str]:
    """Returns tritonserver's command line.

    Args:
        known_flags: output of `tritonserver --help`: some limits exist in newer releases only.
        shared_memory_prefix: prefix of the names of its Python models' shared memory in /dev/shm.
        extra: options appended at the end, which override the others.
    """
    restricted = f"{ADMIN_APIS}:{ADMIN_HEADER}={options.admin_key}"
    arguments = [
        TRITONSERVER,
        f"--model-repository={options.repository}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
        *SERVING_ARGUMENTS,
        f"--http-restricted-api={restricted}",
        f"--grpc-restricted-protocol={restricted}",
        f"--exit-timeout-secs={EXIT_SECONDS}",
        # Callers discover new servers when they reconnect; requests in flight on the old connection finish there.
        f"--grpc-max-connection-age={CONNECTION_MILLISECONDS}",
        "--log-format=ISO8601",
    ]
    limits = {"--http-max-input-size": MAX_TRITON_REQUEST_BYTES, "--grpc-max-response-pool-size": MAX_RESPONSES}
    arguments += [f"{flag}={value}" for flag, value in limits.items() if flag in known_flags]
    return [*arguments, *extra]


def in_flight(metrics_url: str) -> int:
    """Counts the requests that run or wait; 0 if the server does not answer, because then it serves nobody."""
    return round(sum(float(value) for value in _BUSY.findall(_metrics(metrics_url) or "")))


def _metrics(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    return text


class Supervisor:
    """Runs tritonserver and handles the signals meant for it.

    Args:
        command: tritonserver's command line.
        http_port, metrics_port: ports on which it listens.
        drain_seconds: how long to wait for requests in flight.
        shared_memory_prefix: prefix of the names of its Python models' shared memory in /dev/shm.
    """

    def __init__(
        self, command: Sequence[str], http_port: int, metrics_port: int, drain_seconds: float, shared_memory_prefix: str
    ) -> None:
        self._command = command
        self._http_port = http_port
        self._metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._drain_seconds = drain_seconds
        self._shared_memory_prefix = shared_memory_prefix
        self._asked = threading.Event()
        self._asked_again = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def run(self) -> int:
        """Runs until tritonserver ends. Returns the exit status: 128 + n if signal n ended it."""
        try:
            with_second_start(self._launch, _say)
        except CrashedWhileLoading:
            pass  # the exit status tells
        else:
            while self._process.poll() is None and not self._asked.wait(POLL_SECONDS):
                pass
        if self._process.poll() is None:
            self._drain()
        status = self._end() if self._process.poll() is None else self._process.wait()
        self._clear()
        return status if status >= 0 else 128 - status

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        (self._asked_again if self._asked.is_set() else self._asked).set()

    def _launch(self) -> None:
        """Starts tritonserver and waits until its models are loaded, it ends, or this process is told to end.

        Raises:
            CrashedWhileLoading: tritonserver crashed; none of its processes is left.
        """
        # In a session of its own, so that a terminal's Ctrl-C reaches only this process.
        self._process = subprocess.Popen(self._command, start_new_session=True, preexec_fn=die_with_parent)
        # It serves its metrics once all models are loaded.
        while self._process.poll() is None and _metrics(self._metrics_url) is None:
            if self._asked.wait(POLL_SECONDS):
                return
        status = self._process.poll()
        if status is None:
            _say(LOADED)
        elif crashed(status):
            self._clear()
            raise CrashedWhileLoading(f"tritonserver ended with status {status}")

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
                _say(f"{busy} in flight after {self._drain_seconds:g} seconds: ending anyway")
                return
            if self._asked_again.wait(POLL_SECONDS):
                _say("asked again: ending at once")
                return

    def _end(self) -> int:
        """Tells tritonserver to end and waits. Returns its status; 0 if only idle connections kept it running."""
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        busy_until = time.monotonic()
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(POLL_SECONDS)
            if in_flight(self._metrics_url) > 0 or not all_idle(self._http_port):
                busy_until = time.monotonic()
            elif time.monotonic() - busy_until > IDLE_SECONDS:
                _say("nothing is in flight and only idle HTTP connections are left: closing them")
                self._process.kill()
                self._process.wait()
                return 0
        self._process.kill()
        return self._process.wait()

    def _clear(self) -> None:
        """Ends model processes that did not end with tritonserver; each is a separate process in its session."""
        kill_group(self._process.pid)
        remove_shared_memory(self._shared_memory_prefix)


def main(extra: Sequence[str]) -> int:
    """Serves until told to end. Returns the exit status."""
    try:
        options = ContainerOptions.of(os.environ)
    except ValueError as error:
        _say(str(error))
        return 2
    known_flags = subprocess.run([TRITONSERVER, "--help"], capture_output=True, text=True, check=False)
    prefix = f"audiocraft_container_{os.getpid()}_{uuid.uuid4().hex[:12]}_"
    command = command_line(options, known_flags.stdout + known_flags.stderr, prefix, extra)
    ports = _port(command, "http", 8000), _port(command, "metrics", 8002)
    return Supervisor(command, *ports, options.drain_seconds, prefix).run()


def _port(command: Sequence[str], name: str, default: int) -> int:
    flag = f"--{name}-port="
    given = [argument.removeprefix(flag) for argument in command if argument.startswith(flag)]
    return int(given[-1]) if given else default


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
