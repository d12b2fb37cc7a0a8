"""The container's entry point with a real tritonserver: no request in flight is lost, and private APIs stay closed."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import tritonclient.grpc as triton_grpc
from audiocraft_client import Client, ServerUnreachable

from audiocraft_triton.serving.arguments import INNER_CALLS, SERVING_ARGUMENTS, THREADS_PER_MODEL
from audiocraft_triton.serving.container import EXIT_SECONDS, LOADED, ContainerOptions, command_line, in_flight
from audiocraft_triton.serving.embedded.installation import (
    build_backend_directory,
    find_installation,
    server_environment,
)
from audiocraft_triton.serving.repository import MODEL_REPOSITORY

PATIENCE = 300.0
KEY = "0123456789abcdef"


class Container:
    """`python -m audiocraft_triton.serving.container` with the embedded tritonserver in place of the image's."""

    def __init__(self, repository: Path, folder: Path, drain_seconds: int, exit_seconds: int) -> None:
        installation = find_installation()
        build_backend_directory(installation, folder / "backends")
        program = folder / "bin" / "tritonserver"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {installation.executable} --backend-directory={folder}/backends "$@"\n')
        program.chmod(0o755)
        environment = server_environment(installation, folder / "backends")
        environment |= {
            "PATH": f"{program.parent}{os.pathsep}{environment['PATH']}",
            "AUDIOCRAFT_MODEL_REPOSITORY": str(repository),
            "AUDIOCRAFT_DRAIN_SECONDS": str(drain_seconds),
            "AUDIOCRAFT_ADMIN_KEY": KEY,
        }
        self.http, self.grpc, self.metrics = _free_ports(3)
        arguments = [
            *("--http-address=127.0.0.1", f"--http-port={self.http}"),
            *("--grpc-address=127.0.0.1", f"--grpc-port={self.grpc}"),
            *("--metrics-address=127.0.0.1", f"--metrics-port={self.metrics}"),
            f"--exit-timeout-secs={exit_seconds}",
            "--grpc-max-connection-age=1000",  # the streams of these tests take longer and must survive it
        ]
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "audiocraft_triton.serving.container", *arguments],
                env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        _until(lambda: self.process.poll() is not None or self._ready(), "the server is ready", self.log)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/ready") as answer:
                return bool(answer.status == 200) and in_flight(self.metrics_url) == 0
        except OSError:
            return False

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics}/metrics"

    def generate(self, seed: int, seconds: float) -> float:
        """Streams a clip; returns the seconds of audio received."""
        with Client(f"127.0.0.1:{self.grpc}") as client:
            chunks = client.stream("calm solo piano", duration=seconds, seed=seed, chunk_seconds=0.5)
            return round(sum(chunk.duration for chunk in chunks), 6)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Starts a container with a repository; tritonserver in it and the container end within the given seconds."""
    started: list[Container] = []

    def run(repository: Path, drain_seconds: int = 10, exit_seconds: int = 30) -> Container:
        started.append(Container(repository, tmp_path, drain_seconds, exit_seconds))
        return started[-1]

    yield run
    for container in started:
        ended = container.process.poll() is not None
        container.process.kill()
        container.process.wait()
        regions = list(Path("/dev/shm").glob(f"audiocraft_container_{container.process.pid}_*"))
        for region in regions:  # left by a container that was killed here
            region.unlink()
        assert not (ended and regions), "a container that ends leaves no shared memory"


@pytest.fixture
def start(model_repository: Path, run: Callable[..., Container]) -> Callable[[int, int], Container]:
    """Starts a container with all models and waits until it is ready."""

    def start(drain_seconds: int, exit_seconds: int) -> Container:
        container = run(model_repository, drain_seconds, exit_seconds)
        assert container.process.poll() is None, container.log.read_text()
        return container

    return start


def test_sigterm_during_16_streams_loses_none(start: Callable[[int, int], Container]) -> None:
    container = start(240, 30)
    with ThreadPoolExecutor(16) as callers:
        streams = [callers.submit(container.generate, seed, 6.0) for seed in range(16)]
        _until(lambda: in_flight(container.metrics_url) == 16, "all 16 are in flight", container.log)
        container.process.send_signal(signal.SIGTERM)
        assert [stream.result() for stream in streams] == [6.0] * 16
    assert container.process.wait(PATIENCE) == 0, container.log.read_text()
    assert "draining: 16 in flight" in container.log.read_text()


def test_private_apis_need_the_key_and_a_drain_has_an_end(start: Callable[[int, int], Container]) -> None:
    container = start(1, 5)
    index = f"http://127.0.0.1:{container.http}/v2/repository/index"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(index, b""))
    assert refused.value.code == 403
    with urllib.request.urlopen(urllib.request.Request(index, b"", {"admin-key": KEY})) as answer:
        assert b"musicgen" in answer.read()
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{container.grpc}") as client:
        with pytest.raises(triton_grpc.InferenceServerException, match="restricted"):
            client.get_model_repository_index()
        assert client.get_model_repository_index(headers={"triton-grpc-protocol-admin-key": KEY}).models
    with Client(f"127.0.0.1:{container.grpc}") as client:
        assert client.health().models["musicgen"], "health needs no private API"

    with ThreadPoolExecutor(8) as callers:
        streams = [callers.submit(container.generate, seed, 300.0) for seed in range(8)]
        _until(lambda: in_flight(container.metrics_url) == 8, "long streams are in flight", container.log)
        tritonserver = int(Path(f"/proc/{container.process.pid}/task/{container.process.pid}/children").read_text())
        container.process.send_signal(signal.SIGTERM)
        assert container.process.wait(PATIENCE) != 0
        assert {type(stream.exception()) for stream in streams} == {ServerUnreachable}
    _until(lambda: not _runs(tritonserver), "no process of tritonserver's group runs", container.log)
    assert "8 in flight after 1 seconds" in container.log.read_text()


def test_an_idle_connection_neither_delays_the_end_nor_fails_it(
    repository: Path, run: Callable[..., Container]
) -> None:
    container = run(repository)
    caller = http.client.HTTPConnection("127.0.0.1", container.http)
    caller.request("GET", "/v2/health/ready")
    assert caller.getresponse().read() == b""
    assert caller.sock is not None, "the connection is kept open"
    started = time.monotonic()
    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(PATIENCE) == 0, container.log.read_text()
    assert time.monotonic() - started < EXIT_SECONDS
    assert "only idle HTTP connections are left" in container.log.read_text()
    caller.close()


def test_a_crash_while_loading_gets_one_more_start(
    crashing: Callable[[int], Path], run: Callable[..., Container]
) -> None:
    container = run(crashing(1))
    assert container.process.poll() is None, container.log.read_text()
    assert "tritonserver crashed before it was ready: it is started once more" in container.log.read_text()
    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(PATIENCE) == 0, container.log.read_text()


def test_a_second_crash_while_loading_ends_the_container(
    crashing: Callable[[int], Path], run: Callable[..., Container]
) -> None:
    repository = crashing(2)
    container = run(repository)
    assert container.process.wait(PATIENCE) == 128 + signal.SIGABRT
    assert (repository.parent / "starts").read_text() == ".."


def test_a_crash_after_loading_is_not_hidden_by_another_start(repository: Path, run: Callable[..., Container]) -> None:
    container = run(repository)
    _until(lambda: LOADED in container.log.read_text(), "the supervisor knows that it is loaded", container.log)
    [tritonserver] = Path(f"/proc/{container.process.pid}/task/{container.process.pid}/children").read_text().split()
    os.kill(int(tritonserver), signal.SIGABRT)
    assert container.process.wait(PATIENCE) == 128 + signal.SIGABRT
    assert "once more" not in container.log.read_text()


def test_the_command_line_is_locked_down(tmp_path: Path) -> None:
    options = ContainerOptions.of({"AUDIOCRAFT_MODEL_REPOSITORY": str(tmp_path)})
    command = command_line(options, "--http-max-input-size <integer>", "region_", ["--log-verbose=1"])
    assert {"--model-control-mode=none", "--disable-auto-complete-config", "--strict-readiness=true"} <= set(command)
    assert "--http-max-input-size=100663296" in command
    assert not any(argument.startswith("--grpc-max-response-pool-size") for argument in command)
    assert command[-1] == "--log-verbose=1"
    assert "--backend-config=python,shm-region-prefix-name=region_" in command
    keys = {argument.rpartition("=")[2] for argument in command if "restricted" in argument}
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert ContainerOptions.of({"AUDIOCRAFT_MODEL_REPOSITORY": str(tmp_path)}).admin_key != options.admin_key


def test_a_slow_client_never_blocks_a_thread_of_its_model(tmp_path: Path) -> None:
    options = ContainerOptions.of({"AUDIOCRAFT_MODEL_REPOSITORY": str(tmp_path)})
    command = command_line(options, "--grpc-max-response-pool-size <integer>", "region_", [])
    [limit] = [argument.rpartition("=")[2] for argument in command if "response-pool" in argument]
    assert int(limit) > 300 / 0.1, "chunks of the longest clip"


def test_the_threads_of_a_model_serve_its_inner_calls_and_leave_some_for_its_streams() -> None:
    assert f"--backend-config=python,thread-pool-size={THREADS_PER_MODEL}" in SERVING_ARGUMENTS
    assert sum(INNER_CALLS.values()) < THREADS_PER_MODEL <= 32
    for model, calls in INNER_CALLS.items():
        config = (MODEL_REPOSITORY / model / "config.pbtxt").read_text()
        batch = int(re.search(r"^max_batch_size: (\d+)", config, re.MULTILINE).group(1))
        processes = int(re.search(r"count: (\d+)", config).group(1))
        assert calls == 2 * max(batch, 1) * processes, "one that runs and one that waits"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUDIOCRAFT_DRAIN_SECONDS", "soon"),
        ("AUDIOCRAFT_DRAIN_SECONDS", "-1"),
        ("AUDIOCRAFT_ADMIN_KEY", "short"),
        ("AUDIOCRAFT_MODEL_REPOSITORY", "/nowhere"),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ValueError, match=variable):
        ContainerOptions.of({"AUDIOCRAFT_MODEL_REPOSITORY": folder, variable: value})


def _runs(group: int) -> bool:
    """Tells whether a process of a group runs; a zombie does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _until(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}\n{log.read_text()}"
        time.sleep(0.02)
