"""The life of a real tritonserver from start to stop: it leaves nothing behind, however it ends.

The repository has only the model `musicgen`, which holds no weights and loads quickly.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from audiocraft_triton.serving.embedded.log import LogLine
from audiocraft_triton.serving.embedded.server import (
    EmbeddedServer,
    Options,
    ServerFailed,
    answers,
)
from audiocraft_triton.serving.repository import MODEL_REPOSITORY

SHARED_MEMORY = Path("/dev/shm")


def on_free_ports(repository: Path = MODEL_REPOSITORY, **others: object) -> Options:
    return Options(repository, **{"http_port": 0, "grpc_port": 0, "metrics_port": 0, "ready_timeout": 60, **others})


def processes_of(session: int) -> dict[int, str]:
    """Returns the living processes of a session, such as the server's, as pid -> command line."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def argument(pid: int, start: str) -> str:
    """Returns the rest of the server's command-line argument that begins with `start`."""
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    (found,) = [text.removeprefix(start) for text in arguments if text.startswith(start)]
    return found


def shared_memory(prefix: str) -> list[str]:
    return [path.name for path in SHARED_MEMORY.glob(f"{prefix}*")]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return int(answer.status)


@pytest.fixture(scope="module")
def life(repository: Path) -> SimpleNamespace:
    """Observations of one server while it ran and after it was stopped."""
    seen = SimpleNamespace(lines=[])
    options = on_free_ports(repository, environment={"AUDIOCRAFT_TEST": "passed on"})
    with EmbeddedServer(options, show=seen.lines.append) as server:
        seen.pid = server.pid
        seen.ready = status(f"{server.http_url}/v2/health/ready")
        seen.model_ready = status(f"{server.http_url}/v2/models/musicgen/ready")
        seen.metrics = status(server.metrics_url)
        with socket.create_connection(server.grpc_url.split(":"), timeout=5) as connection:
            seen.grpc_peer = connection.getpeername()
        seen.ports = (server.http_port, server.grpc_port, server.metrics_port)
        seen.processes = processes_of(server.pid)
        seen.environment = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
        seen.backends = Path(argument(server.pid, "--backend-directory="))
        seen.backends_existed = seen.backends.is_dir()
        seen.prefix = argument(server.pid, "--backend-config=python,shm-region-prefix-name=")
        seen.shared_memory = shared_memory(seen.prefix)
    seen.pid_after = server.pid
    return seen


def test_once_started_the_server_its_model_and_every_port_answer(life: SimpleNamespace) -> None:
    assert (life.ready, life.model_ready, life.metrics) == (200, 200, 200)
    assert life.grpc_peer == ("127.0.0.1", life.ports[1])
    assert len(set(life.ports)) == 3


def test_the_log_shows_the_model_and_the_ports_and_no_gpu_noise(life: SimpleNamespace) -> None:
    texts = [line.text for line in life.lines]
    assert any("successfully loaded 'musicgen'" in text for text in texts)
    assert any(f"Started HTTPService at 127.0.0.1:{life.ports[0]}" in text for text in texts)
    assert not any("NVML" in text for text in texts)


def test_options_environment_reaches_the_server(life: SimpleNamespace) -> None:
    assert b"AUDIOCRAFT_TEST=passed on" in life.environment


def test_stopping_leaves_no_process(life: SimpleNamespace) -> None:
    assert len(life.processes) >= 2  # the server and a stub
    assert any("triton_python_backend_stub" in command for command in life.processes.values())
    assert processes_of(life.pid) == {}
    assert life.pid_after is None


def test_stopping_leaves_no_shared_memory(life: SimpleNamespace) -> None:
    assert life.shared_memory != []
    assert shared_memory(life.prefix) == []


def test_stopping_leaves_no_backend_directory(life: SimpleNamespace) -> None:
    assert life.backends_existed
    assert not life.backends.exists()


def test_a_model_that_does_not_load_is_named_with_its_reason_and_nothing_is_left(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "repository" / "broken"
    shutil.copytree(repository / "musicgen", broken)
    config = broken / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "musicgen"', 'name: "broken"'))
    (broken / "1" / "model.py").write_text(
        "class TritonPythonModel:\n"
        "    def initialize(self, args):\n"
        "        raise RuntimeError('the weights are gone')\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    server = EmbeddedServer(on_free_ports(broken.parent))
    with pytest.raises(ServerFailed, match=r"failed to load 'broken' version 1: .*the weights are gone") as caught:
        server.start()
    assert not caught.value.bad_option
    assert "ended with status 1 before it was ready" in str(caught.value)
    assert list(temporary.iterdir()) == []
    assert server.pid is None


def test_a_server_that_crashes_while_it_loads_is_started_once_more(crashing: Callable[[int], Path]) -> None:
    lines: list[LogLine] = []
    with EmbeddedServer(on_free_ports(crashing(1)), show=lines.append) as server:
        assert status(f"{server.http_url}/v2/models/musicgen/ready") == 200
    assert [line.text for line in lines if "once more" in line.text] == [
        "tritonserver crashed before it was ready: it is started once more"
    ]


def test_a_server_that_crashes_twice_is_a_failure(crashing: Callable[[int], Path]) -> None:
    repository = crashing(2)
    server = EmbeddedServer(on_free_ports(repository))
    with pytest.raises(ServerFailed, match=r"ended with status -6 before it was ready"):
        server.start()
    assert (repository.parent / "starts").read_text() == ".."
    assert server.pid is None


def test_stopping_after_a_crash_leaves_no_hanging_stub_no_shared_memory_and_no_backend_directory(
    repository: Path,
) -> None:
    server = EmbeddedServer(on_free_ports(repository))
    server.start()
    pid = server.pid
    assert pid is not None
    prefix = argument(pid, "--backend-config=python,shm-region-prefix-name=")
    backends = Path(argument(pid, "--backend-directory="))
    stubs = {child: command for child, command in processes_of(pid).items() if "backend_stub" in command}
    assert stubs
    for stub in stubs:
        os.kill(stub, signal.SIGSTOP)  # it hangs and will not end on its own
    os.kill(pid, signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    assert stubs.keys() <= processes_of(pid).keys()
    assert shared_memory(prefix) != []
    server.stop()
    try:
        assert wait_until(lambda: processes_of(pid) == {}, seconds=5), processes_of(pid)
    finally:
        for stub in processes_of(pid):
            os.kill(stub, signal.SIGKILL)
    assert shared_memory(prefix) == []
    assert not backends.exists()


_STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options

server = EmbeddedServer(Options(Path(sys.argv[1]), http_port=0, grpc_port=0, metrics_port=0))
server.start()
print(server.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def orphan(repository: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has started a server, and the server's pid."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _STARTS_AND_WAITS, str(repository)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    prefix = argument(pid, "--backend-config=python,shm-region-prefix-name=")
    backends = argument(pid, "--backend-directory=")
    yield parent, pid
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if processes_of(pid):
        os.killpg(pid, signal.SIGKILL)
    for name in shared_memory(prefix):
        (SHARED_MEMORY / name).unlink(missing_ok=True)
    shutil.rmtree(backends, ignore_errors=True)


def test_a_killed_parent_takes_the_server_and_its_stubs_with_it(orphan: tuple[subprocess.Popen[str], int]) -> None:
    parent, pid = orphan
    assert len(processes_of(pid)) >= 2
    parent.kill()
    parent.wait()
    assert wait_until(lambda: processes_of(pid) == {}, seconds=30), processes_of(pid)


def test_a_port_of_another_protocol_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def settings_frame() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(bytes.fromhex("000006040000000000000500004000"))
                connection.recv(4096)

        thread = threading.Thread(target=settings_frame)
        thread.start()
        assert not answers(f"http://127.0.0.1:{other.getsockname()[1]}/v2/health/ready")
        thread.join()


# Refusals before anything starts


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.20", "8.8.8.8", "example.com", ""])
def test_an_address_that_others_can_reach_is_refused(address: str) -> None:
    with pytest.raises(ServerFailed, match=r"can be reached from other machines.*loopback only") as caught:
        EmbeddedServer(on_free_ports(address=address))
    assert caught.value.bad_option
    assert "--i-know-this-is-unsafe" in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_addresses_are_allowed(address: str) -> None:
    server = EmbeddedServer(on_free_ports(address=address))
    assert server.http_url == f"http://{address}:{server.http_port}"
    assert server.grpc_url == f"{address}:{server.grpc_port}"
    assert server.metrics_url == f"http://{address}:{server.metrics_port}/metrics"


def test_an_unsafe_address_is_allowed_if_the_option_is_set() -> None:
    assert EmbeddedServer(on_free_ports(address="0.0.0.0", unsafe_address=True)).http_port > 0


@pytest.mark.parametrize("name", ["http", "grpc", "metrics"])
def test_a_taken_port_is_refused_by_its_name_and_number(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailed) as caught:
            EmbeddedServer(on_free_ports(**{f"{name}_port": port}))
    assert caught.value.bad_option
    assert str(caught.value) == (
        f"{name} port {port} on 127.0.0.1 can't be used (Address already in use); give another, or 0 for a free one"
    )


def test_a_given_port_is_used_and_one_given_twice_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert EmbeddedServer(on_free_ports(grpc_port=port)).grpc_port == port
    with pytest.raises(ServerFailed, match=f"metrics port {port} on 127.0.0.1 can't be used"):
        EmbeddedServer(on_free_ports(grpc_port=port, metrics_port=port))


def test_a_server_outlives_the_thread_that_started_it(repository: Path) -> None:
    server = EmbeddedServer(on_free_ports(repository))
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        # The kernel would already have ended the server: it sends the signal when the thread ends.
        assert not wait_until(lambda: status(f"{server.http_url}/v2/health/ready") != 200, seconds=1)
    finally:
        server.stop()


def test_a_repository_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="nowhere is not a folder") as caught:
        EmbeddedServer(on_free_ports(tmp_path / "nowhere"))
    assert caught.value.bad_option
