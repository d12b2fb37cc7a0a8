"""Reads the server's metrics from its port and through a real Prometheus."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from audiocraft_triton.serving.embedded.server import EmbeddedServer

Reading = TypeVar("Reading")


def exported(server: EmbeddedServer) -> str:
    """Returns the text that Prometheus scrapes."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:
        return str(answer.read().decode())


def value(server: EmbeddedServer, name: str, **labels: str) -> float:
    """Returns the sum of a metric's values with these labels."""
    found = []
    for line in exported(server).splitlines():
        match = re.fullmatch(rf"{name}{{(.*)}} (\S+)", line)
        if match and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1])).items():
            found.append(float(match[2]))
    assert found, f"{name} {labels} is not exported"
    return sum(found)


def ended(server: EmbeddedServer, outcome: str, model: str = "musicgen") -> int:
    """Returns the number of generation requests with this outcome."""
    return int(value(server, "audiocraft_requests_total", model=model, outcome=outcome))


def active(server: EmbeddedServer, model: str = "musicgen") -> int:
    """Returns the number of slots in use."""
    return int(value(server, "audiocraft_active_slots", model=model))


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Returns as soon as the condition holds; fails if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} seconds")
        time.sleep(0.02)


def settled(read: Callable[[], Reading], seconds: float) -> Reading:
    """Returns the reading once it has stayed the same for this many seconds."""
    reading, since = read(), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.02)
        if (now := read()) != reading:
            reading, since = now, time.monotonic()
    return reading


class Prometheus:
    """A real Prometheus that scrapes the server every second."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/query?query="

    def first_value(self, query: str, seconds: float = 30) -> float:
        """Returns the first value of a PromQL query as soon as it has a result."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self._url + urllib.parse.quote(query), timeout=2) as answer:
                    result = json.load(answer)["data"]["result"]
                if result and result[0]["value"][1] != "NaN":  # a rate over no change
                    return float(result[0]["value"][1])
            except OSError:
                pass  # not listening yet
            time.sleep(0.2)
        pytest.fail(f"no value within {seconds} seconds for {query}")


@contextmanager
def prometheus(server: EmbeddedServer, folder: Path) -> Iterator[Prometheus]:
    """Scrapes the server for as long as the block runs; keeps its data in `folder`."""
    target = server.metrics_url.removeprefix("http://").removesuffix("/metrics")
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: triton, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(timeout=10)
