"""Builds both images and runs them as Compose does: `make test-images` (root, Debian 12, some 15 minutes on 2 cores).

What this proves: every step of the Dockerfile, and what docker-compose.yml makes of the images. What it does not prove:
NVIDIA's Triton image. The base images are stand-ins of the same names, made of Debian's packages and of the
tritonserver 24.10 of a Python wheel, because a test machine need not reach the registries of the real ones.

Nothing is kept: not the images, not the engine that was started for them.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import soundfile
import yaml
from audiocraft_client import Client
from docker_engine import Docker, docker_engine
from package_index import pip_configuration
from stand_ins import PROJECT, make_stand_ins

TRITON, GATEWAY = "audiocraft-triton:proof", "audiocraft-gateway:proof"
NAME = "audiocraft-proof"
ADDRESS = "127.0.0.87"
"""Of this machine alone; another one than 127.0.0.1, where somebody may work with a server of their own."""
SERVICES = ("triton-cpu", "gateway-cpu", "prometheus")
HEALTHY_SECONDS = 400.0
SCRAPED_SECONDS = 60.0
"""Prometheus asks every 15 seconds."""
STOP_SECONDS = 25.0
"""Far below the 30 seconds that tritonserver gives an idle connection."""


class Stack:
    """Compose's `cpu` profile, without Grafana: Debian has no package of it.

    Args:
        docker: an engine that has the images.
    """

    def __init__(self, docker: Docker) -> None:
        variables = {"AUDIOCRAFT_TRITON_IMAGE": TRITON, "AUDIOCRAFT_GATEWAY_IMAGE": GATEWAY, "AUDIOCRAFT_BIND": ADDRESS}
        self.docker = Docker({**docker.environment, **variables, "COMPOSE_PROJECT_NAME": NAME})

    def compose(self, *arguments: str, timeout: float = 600.0) -> str:
        """Runs docker-compose in the project's folder."""
        return self.docker.compose("--profile", "cpu", *arguments, folder=PROJECT, timeout=timeout)

    def container(self, service: str) -> str:
        """A service's container, running or not."""
        return self.compose("ps", "--all", "--quiet", service)

    def state(self, service: str) -> dict[str, object]:
        """What `docker inspect` says of a service's container."""
        found: list[dict[str, object]] = json.loads(self.docker("inspect", self.container(service)))
        return found[0]

    def health(self, service: str) -> str:
        """healthy, unhealthy or starting."""
        return str(self.state(service)["State"]["Health"]["Status"])  # type: ignore[index]

    def wait_until_healthy(self, *services: str) -> None:
        """Raises AssertionError, with the logs, where one is not in time."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while any(self.health(service) != "healthy" for service in services):
            assert time.monotonic() < deadline, self.compose("logs", "--tail", "60", *services)
            time.sleep(1)

    def inside(self, service: str, *command: str) -> str:
        """Runs a command in a service's container."""
        return self.docker("exec", self.container(service), *command)


@pytest.fixture(scope="session")
def images() -> Iterator[Docker]:
    """An engine with both images, built by the project's Dockerfile as it is."""
    if os.geteuid() != 0:
        pytest.fail("only root can start a Docker engine and make base images: run this with sudo")
    with docker_engine() as docker:
        bases: list[str] = []
        try:
            with pip_configuration() as configuration:
                with _timed("base images"):
                    bases = make_stand_ins(docker, configuration)
                for target, name in (("gateway", GATEWAY), ("triton", TRITON)):
                    build = ("build", "--network", "host", "--target", target, "--tag", name, str(PROJECT))
                    with _timed(f"image {target}"):
                        docker(*build, timeout=1800.0)
            yield docker
        finally:
            for name in (TRITON, GATEWAY, *bases):
                if docker("images", "--quiet", name):
                    docker("rmi", "--force", name)


@pytest.fixture(scope="session")
def stack(images: Docker) -> Iterator[Stack]:
    """All services, healthy."""
    running = Stack(images)
    try:
        with _timed("all services healthy"):
            running.compose("up", "--detach", "--no-build", *SERVICES)
            running.wait_until_healthy(*SERVICES)
        yield running
    finally:
        running.compose("kill")
        running.compose("down", "--volumes", "--remove-orphans")


def test_every_build_step_works_and_the_images_are_not_bloated(images: Docker) -> None:
    for name, most in ((GATEWAY, 1e9), (TRITON, 4e9)):
        size = int(images("image", "inspect", "--format", "{{.Size}}", name))
        print(f"{name}: {size / 1e6:,.0f} MB")
        assert size < most


def test_the_client_and_a_new_volume_are_usable_by_the_user_of_the_image(images: Docker) -> None:
    hardened = ("--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "ALL", "--network", "none", "--shm-size", "1g")
    demo = ("--entrypoint", "audiocraft-triton", TRITON, "demo", "--duration", "1", "--out", "/tmp/out")
    said = images("run", "--rm", *hardened, *demo, timeout=600.0)
    assert "realness" in said
    volume = f"{NAME}-models"
    try:
        writing = ("python3", "-c", "import pathlib; pathlib.Path('/models/r').mkdir(); print('written')")
        images("volume", "create", volume)
        write = ("--volume", f"{volume}:/models", "--entrypoint", writing[0], TRITON, *writing[1:])
        assert images("run", "--rm", *hardened, *write) == "written"
    finally:
        images("volume", "rm", "--force", volume)


def test_services_are_healthy_unprivileged_and_write_nowhere_but_in_memory(stack: Stack) -> None:
    for service in SERVICES:
        assert stack.health(service) == "healthy"
        limits: dict[str, object] = stack.state(service)["HostConfig"]  # type: ignore[assignment]
        assert limits["ReadonlyRootfs"] is True
        assert limits["CapDrop"] == ["ALL"]
    for service in ("triton-cpu", "gateway-cpu"):
        assert stack.inside(service, "id", "-u") == "1000"
        status = dict(line.split(":\t", 1) for line in stack.inside(service, "cat", "/proc/1/status").splitlines())
        assert status["Uid"].split() == ["1000"] * 4
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.inside(service, "touch", "/var/tmp/something")  # where every user may write, elsewhere


def test_processes_and_threads_stay_far_below_their_limit(stack: Stack) -> None:
    count = (
        "import pathlib; print(sum(len(list(path.iterdir())) for path in pathlib.Path('/proc').glob('[0-9]*/task')))"
    )
    threads = int(stack.inside("triton-cpu", "python3", "-c", count))
    limit = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]["triton-cpu"]["pids_limit"]
    print(f"triton: {threads} threads of {limit}")
    assert stack.state("triton-cpu")["HostConfig"]["PidsLimit"] == limit  # type: ignore[index]
    assert threads < limit / 4


@pytest.mark.usefixtures("stack")
def test_one_request_over_http_grpc_and_the_gateway() -> None:
    assert _over_http() == 1.0
    assert _over_grpc() == 1.0
    assert _through_the_gateway() == 1.0


def test_prometheus_finds_both(stack: Stack) -> None:
    assert stack.health("prometheus") == "healthy"
    deadline = time.monotonic() + SCRAPED_SECONDS
    while (health := _scraped()) != {"triton": "up", "gateway": "up"}:
        assert time.monotonic() < deadline, health
        time.sleep(1)


def test_a_killed_tritonserver_is_restarted_and_serves_again(stack: Stack) -> None:
    container = stack.container("triton-cpu")
    kill = (
        "import os, pathlib\n"
        "for folder in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    if (folder / 'comm').read_text().startswith('tritonserver'): os.kill(int(folder.name), 9)\n"
    )
    # The container ends with tritonserver, and this command with the container: nobody waits for its answer.
    stack.docker("exec", "--detach", container, "python3", "-c", kill)
    deadline = time.monotonic() + HEALTHY_SECONDS
    while not stack.state("triton-cpu")["RestartCount"]:
        assert time.monotonic() < deadline, "it was not restarted"
        time.sleep(0.5)
    stack.wait_until_healthy("triton-cpu")
    assert _through_the_gateway() == 1.0


def test_a_stop_under_load_answers_everything_that_is_in_flight(stack: Stack) -> None:
    requests: list[Callable[[float], float]] = [_over_http, _over_grpc, _through_the_gateway, _streamed] * 2
    with ThreadPoolExecutor(len(requests)) as callers:
        answers = [callers.submit(request, 8.0) for request in requests]
        _wait_for_load(len(requests))
        stack.docker("stop", "--time", "420", stack.container("triton-cpu"), timeout=450.0)
        assert [answer.result() for answer in answers] == [8.0] * len(requests)
    assert stack.state("triton-cpu")["State"]["ExitCode"] == 0  # type: ignore[index]


def test_an_idle_stop_is_short_and_no_failure_though_a_caller_keeps_a_connection(stack: Stack) -> None:
    stack.docker("start", stack.container("triton-cpu"))
    stack.wait_until_healthy("triton-cpu")
    caller = http.client.HTTPConnection(ADDRESS, 8000)
    caller.request("GET", "/v2/health/ready")
    caller.getresponse().read()
    started = time.monotonic()
    with _timed("stop"):
        stack.docker("stop", "--time", "420", stack.container("triton-cpu"), timeout=450.0)
    assert time.monotonic() - started < STOP_SECONDS
    assert stack.state("triton-cpu")["State"]["ExitCode"] == 0  # type: ignore[index]
    caller.close()


def _scraped() -> dict[str, str]:
    """Job -> health of its last scrape."""
    with urllib.request.urlopen(f"http://{ADDRESS}:9090/api/v1/targets?state=active") as answer:
        targets = json.load(answer)["data"]["activeTargets"]
    return {target["labels"]["job"]: target["health"] for target in targets}


def _over_http(seconds: float = 1.0) -> float:
    with Client(f"http://{ADDRESS}:8000", timeout=300) as client:
        return round(client.music("calm solo piano", duration=seconds, seed=1).duration, 3)


def _over_grpc(seconds: float = 1.0) -> float:
    with Client(f"{ADDRESS}:8001", timeout=300) as client:
        return round(client.music("calm solo piano", duration=seconds, seed=1).duration, 3)


def _streamed(seconds: float) -> float:
    with Client(f"{ADDRESS}:8001") as client:
        chunks = client.stream("calm solo piano", duration=seconds, seed=1)
        return round(sum(chunk.duration for chunk in chunks), 3)


def _through_the_gateway(seconds: float = 1.0) -> float:
    body = json.dumps({"text": "calm solo piano", "duration": seconds, "seed": 1}).encode()
    request = urllib.request.Request(
        f"http://{ADDRESS}:8080/generate/music", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert answer.status == 200
        samples, rate = soundfile.read(io.BytesIO(answer.read()))
    return float(round(len(samples) / rate, 3))


def _wait_for_load(requests: int) -> None:
    """Until all of them are generated, or wait for a slot."""
    deadline = time.monotonic() + 60
    busy = 0.0
    while busy < requests:
        assert time.monotonic() < deadline, f"only {busy:g} of {requests} requests arrived"
        time.sleep(0.1)
        with urllib.request.urlopen(f"http://{ADDRESS}:8002/metrics") as answer:
            lines = answer.read().decode().splitlines()
        counted = ("audiocraft_active_slots{", "audiocraft_waiting_requests{")
        busy = sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(counted) and "musicgen" in line)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)
