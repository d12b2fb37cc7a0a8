"""Runs the embedded tritonserver as a child process: starts it, waits until it is ready, and stops it cleanly."""

from __future__ import annotations

import http.client
import ipaddress
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from audiocraft_triton.serving.arguments import SERVING_ARGUMENTS
from audiocraft_triton.serving.child import (
    CrashedWhileLoading,
    crashed,
    die_with_parent,
    kill_group,
    remove_shared_memory,
    with_second_start,
)
from audiocraft_triton.serving.embedded.installation import (
    Installation,
    build_backend_directory,
    find_installation,
    server_environment,
)
from audiocraft_triton.serving.embedded.log import LogLine, LogReader
from audiocraft_triton.serving.repository import default_repository


class ServerFailed(RuntimeError):
    """The server did not become ready, or can't be started with these options; the message gives the reason.

    Attributes:
        bad_option: whether the caller's options are the cause.
    """

    def __init__(self, message: str, bad_option: bool = False) -> None:
        super().__init__(message)
        self.bad_option = bad_option


class _Crashed(ServerFailed, CrashedWhileLoading):
    """The server crashed while it loaded its models."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the embedded server.

    Attributes:
        repository: the model repository.
        address: address to listen on; must be loopback unless `unsafe_address` is set.
        http_port, grpc_port, metrics_port: 0 picks a free port.
        ready_timeout: seconds within which every model must be ready.
        unsafe_address: allow an address that other machines can reach.
        verbose: show the whole log.
        environment: variables for the server, in addition to this process's own.
    """

    repository: Path = field(default_factory=default_repository)
    address: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    ready_timeout: float = 600.0
    unsafe_address: bool = False
    verbose: bool = False
    environment: dict[str, str] = field(default_factory=dict)


class EmbeddedServer:
    """A tritonserver for the local machine; use it as a context manager.

    Args:
        options: see Options.
        show: called with each log line worth showing.

    Raises:
        ServerFailed: the address is not loopback, a port is taken, or a model does not load.
    """

    def __init__(self, options: Options | None = None, show: Callable[[LogLine], None] = lambda _line: None) -> None:
        self._options = options or Options()
        self._show = show
        _refuse_public_address(self._options)
        if not self._options.repository.is_dir():
            raise ServerFailed(f"the model repository {self._options.repository} is not a folder", bad_option=True)
        self.http_port, self.grpc_port, self.metrics_port = _choose_ports(self._options)
        self._process: subprocess.Popen[str] | None = None
        self._errors: deque[str] = deque(maxlen=20)
        self._shared_memory_prefix = f"audiocraft_triton_{uuid.uuid4().hex[:12]}"

    @property
    def http_url(self) -> str:
        """URL for curl and `tritonclient.http` (without the scheme)."""
        return f"http://{self._host}:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        """Address for `tritonclient.grpc` and `audiocraft_client`."""
        return f"{self._host}:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        """URL for Prometheus."""
        return f"http://{self._host}:{self.metrics_port}/metrics"

    @property
    def _host(self) -> str:
        address = self._options.address
        return f"[{address}]" if ":" in address else address

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and returns when every model is ready.

        A server that crashes while it loads is started once more, see `with_second_start`.

        Raises:
            ServerFailed: the server did not become ready; none of its processes is left.
        """
        with_second_start(self._start, lambda line: self._show(LogLine("WARNING", line)))

    def _start(self) -> None:
        self._errors.clear()
        installation = find_installation()
        self._backends = Path(tempfile.mkdtemp(prefix="audiocraft-triton-backends-"))
        try:
            build_backend_directory(installation, self._backends)
            launched: queue.SimpleQueue[subprocess.Popen[str] | Exception] = queue.SimpleQueue()
            self._log_thread = threading.Thread(
                target=self._launch_and_read_log, args=(installation, launched), name="triton-log", daemon=True
            )
            self._log_thread.start()
            process = launched.get()
            if isinstance(process, Exception):
                raise process
            self._process = process
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Lets the server finish its requests and end, kills what is left of it, and removes its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                pass
            finally:
                kill_group(self._process.pid)
                self._process.wait()
                self._log_thread.join(timeout=5)
                self._process = None
        remove_shared_memory(self._shared_memory_prefix)
        shutil.rmtree(self._backends, ignore_errors=True)

    def wait(self) -> int:
        """Blocks until the server ends on its own; returns its exit status."""
        assert self._process is not None  # after start()
        return self._process.wait()

    def _arguments(self) -> list[str]:
        options = self._options
        return [
            f"--model-repository={options.repository}",
            f"--backend-directory={self._backends}",
            f"--backend-config=python,shm-region-prefix-name={self._shared_memory_prefix}",
            *SERVING_ARGUMENTS,
            "--exit-on-error=true",
            # An idle keep-alive connection makes Triton wait this long; that is enough for the requests in flight here.
            "--exit-timeout-secs=10",
            f"--http-address={options.address}",
            f"--http-port={self.http_port}",
            f"--grpc-address={options.address}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-address={options.address}",
            f"--metrics-port={self.metrics_port}",
        ]

    def _launch_and_read_log(
        self, installation: Installation, launched: queue.SimpleQueue[subprocess.Popen[str] | Exception]
    ) -> None:
        """Starts the server in a thread that lives as long as it does: the kernel ends the server with this thread."""
        try:
            process = subprocess.Popen(
                [str(installation.executable), *self._arguments()],
                env={**server_environment(installation, self._backends), **self._options.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the server in order
                preexec_fn=die_with_parent,
            )
        except Exception as error:
            launched.put(error)
            return
        launched.put(process)
        assert process.stdout is not None
        self._read_log(process.stdout)
        process.wait()

    def _read_log(self, output: Iterable[str]) -> None:
        reader = LogReader(has_gpu=Path("/dev/nvidiactl").exists(), verbose=self._options.verbose)
        for raw in output:
            line = reader.read(raw)
            if line is None:
                continue
            if line.level in ("ERROR", "FATAL"):
                self._errors.append(line.text)
            self._show(line)

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._options.ready_timeout
        # The metrics port is the last to open.
        while not (answers(f"{self.http_url}/v2/health/ready") and answers(self.metrics_url)):
            status = self._process.poll()
            if status is not None:
                self._log_thread.join(timeout=5)
                failure = _Crashed if crashed(status) else ServerFailed
                raise failure(
                    f"tritonserver ended with status {status} before it was ready:\n" + "\n".join(self._errors)
                )
            if time.monotonic() > deadline:
                raise ServerFailed(f"tritonserver was not ready after {self._options.ready_timeout:g} seconds")
            time.sleep(0.2)


def _refuse_public_address(options: Options) -> None:
    try:
        loopback = ipaddress.ip_address(options.address).is_loopback
    except ValueError:
        loopback = options.address == "localhost"
    if not loopback and not options.unsafe_address:
        raise ServerFailed(
            f"address {options.address} can be reached from other machines. The embedded tritonserver 2.51.0 (24.10) "
            "has known remote-code-execution holes (CVE-2025-23319, CVE-2025-23320, CVE-2025-23334 and others), so it "
            "listens on loopback only; use a current container for anything else. To allow it anyway: "
            "--i-know-this-is-unsafe",
            bad_option=True,
        )


def _choose_ports(options: Options) -> tuple[int, int, int]:
    wanted = {"http": options.http_port, "grpc": options.grpc_port, "metrics": options.metrics_port}
    sockets = []
    try:
        for name, port in wanted.items():
            probe = socket.socket(socket.AF_INET6 if ":" in options.address else socket.AF_INET)
            sockets.append(probe)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((options.address, port))
                probe.listen()  # two sockets that only bind may share a port
            except OSError as error:
                raise ServerFailed(
                    f"{name} port {port} on {options.address} can't be used ({error.strerror}); give another, "
                    "or 0 for a free one",
                    bad_option=True,
                ) from error
        first, second, third = (probe.getsockname()[1] for probe in sockets)
        return first, second, third
    finally:
        for probe in sockets:
            probe.close()


def answers(url: str) -> bool:
    """Tells whether a URL answers with 200 within 2 seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):  # another program with another protocol may use the port now
        return False
