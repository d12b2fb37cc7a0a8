"""With a real Prometheus, Triton and gateway, every query of rules, dashboard and scaling has an answer."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from running_gateway import RunningGateway, running

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer

pytestmark = pytest.mark.needs_program("prometheus")

FILES = Path(__file__).resolve().parents[2] / "deploy/helm/audiocraft-triton/files"
PATIENCE = 120.0
NEEDS_GPU = {
    "nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes", "nv_gpu_power_usage",
}  # fmt: skip
"""Metrics that Triton publishes only with a GPU; names as in its documentation."""
PANELS_WITHOUT_GPU_EMPTY = {"Utilisation", "Memory", "Power"}
NAME = re.compile(r"(?<![\w:\"$.])((?:audiocraft|nv)[\w:]+)")


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
    return document


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FILES / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def prometheus(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has observed some requests of every kind."""
    with running(triton=server.grpc_url) as gateway:
        yield from _prometheus(server, gateway, tmp_path_factory.mktemp("prometheus"))


def _prometheus(server: EmbeddedServer, gateway: RunningGateway, folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    labels = {"namespace": "audio", "pod": "triton-1"}
    configuration_file = folder / "prometheus.yml"
    configuration_file.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(FILES / "rules.yaml")],
                "scrape_configs": [
                    {
                        "job_name": job,
                        "static_configs": [{"targets": [target], "labels": labels}],
                    }
                    for job, target in (
                        ("triton", server.metrics_url.removeprefix("http://").removesuffix("/metrics")),
                        ("gateway", f"127.0.0.1:{gateway.port}"),
                    )
                ],
            }
        )
    )
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={configuration_file}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        # Rates need a sample from before the requests that they count.
        _until(
            lambda: len(_query(address, "up == 1 and on (job) count_over_time(up[1m]) > 2")) == 2, "both are scraped"
        )
        with gateway.client() as http:
            for second in range(3):
                clip = http.post("/generate/music", json={"text": "piano", "duration": 1.0, "seed": second}).content
                http.post("/generate/audio/stream", json={"text": "rain", "duration": 1.0})
                assert http.post("/analyze", files={"file": clip}).status_code == 200
                assert (
                    http.post("/generate/music", json={"text": "piano", "duration": 1, "top_k": 9999}).status_code
                    == 422
                )
                time.sleep(1.5)  # one scrape apart: a rate is a difference between two scrapes
        yield address
    finally:
        process.terminate()
        process.wait()


def test_every_recording_rule_has_data(prometheus: str) -> None:
    for rule in rules():
        if "record" in rule:
            _until(lambda name=rule["record"]: bool(_query(prometheus, name)), f"{rule['record']} has data")


def test_no_alert_fires_for_a_healthy_server(prometheus: str) -> None:
    for rule in rules():
        if "alert" in rule and "nv_gpu" not in rule["expr"]:
            _until(lambda asked=rule["expr"]: not _query(prometheus, asked), f"{rule['alert']} has no reason to fire")


def test_every_panel_has_data(prometheus: str) -> None:
    assert {panel["title"] for panel in dashboard()["panels"]} >= PANELS_WITHOUT_GPU_EMPTY
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            asked = target["expr"].replace("$namespace", ".*").replace("$model", ".*")
            if panel["title"] in PANELS_WITHOUT_GPU_EMPTY:
                assert _query(prometheus, asked) == [], panel["title"]
            else:
                _until(lambda asked=asked: bool(_query(prometheus, asked)), f"panel {panel['title']} has data")


def test_every_queried_metric_exists(prometheus: str) -> None:
    elsewhere = NEEDS_GPU | {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for rule in rules() for name in NAME.findall(rule["expr"])}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            asked |= set(NAME.findall(target["expr"]))
    assert {"audiocraft_slots", "nv_inference_count", "audiocraft_gateway_requests_total"} <= asked
    for name in sorted(asked - elsewhere):
        _until(lambda name=name: bool(_query(prometheus, name)), f"{name} exists")


def test_the_queries_for_scaling_have_answers(prometheus: str, render: Callable[..., list[dict[str, Any]]]) -> None:
    adapter = yaml.safe_load((FILES / "prometheus-adapter-values.yaml").read_text())["rules"]["custom"][0]
    series = adapter["name"]["matches"].strip("^$")
    assert _query(prometheus, adapter["seriesQuery"])
    asked = adapter["metricsQuery"].replace("<<.Series>>", series)
    asked = asked.replace("<<.LabelMatchers>>", 'namespace="audio",pod="triton-1"').replace("<<.GroupBy>>", "pod")
    # The last requests still count until metrics are published and scraped, and the rules are evaluated.
    idle = [{"metric": {"pod": "triton-1"}, "value": "0"}]
    _until(lambda: _answers(prometheus, asked) == idle, "the HorizontalPodAutoscaler sees an idle pod")
    scaled = render(set=["triton.autoscaling.mode=keda"])
    [trigger] = next(item for item in scaled if item["kind"] == "ScaledObject")["spec"]["triggers"]
    query = re.sub(r'pod=~"[^"]+"', 'pod=~"triton-.*"', trigger["metadata"]["query"])
    _until(lambda: _answers(prometheus, query) == [{"metric": {}, "value": "0"}], "KEDA sees an idle fleet")


def test_the_dashboard_is_well_formed() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert all(target["legendFormat"] for target in panel["targets"])


def _query(address: str, expression: str) -> list[dict[str, Any]]:
    answer = _get(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _answers(address: str, expression: str) -> list[dict[str, Any]]:
    return [{"metric": found["metric"], "value": found["value"][1]} for found in _query(address, expression)]


def _get(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
            return document
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error
    except OSError:
        return {"data": {"result": []}}  # it starts


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.2)
