"""The Compose file as docker-compose itself resolves it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiocraft_triton.contract.limits import DRAIN_SECONDS
from audiocraft_triton.gateway.settings import Settings
from audiocraft_triton.serving.arguments import THREADS_PER_MODEL
from audiocraft_triton.serving.container import END_SECONDS

pytestmark = pytest.mark.needs_program("docker-compose")

PROJECT = Path(__file__).resolve().parents[2]


def resolved(*arguments: str, **variables: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], **variables}
    command = ["docker-compose", *arguments, "config"]
    answer = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    services: dict[str, Any] = yaml.safe_load(answer.stdout)["services"]
    return services


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return resolved("--profile", "cpu")


def test_plain_up_is_the_whole_stack_with_a_gpu(services: dict[str, Any]) -> None:
    plain = {name for name, service in services.items() if "profiles" not in service}
    assert plain == {"triton", "gateway", "prometheus", "grafana"}
    [device] = services["triton"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_the_cpu_profile_replaces_the_services_under_the_same_names(services: dict[str, Any]) -> None:
    for name in ("triton", "gateway"):
        stand_in = services[f"{name}-cpu"]
        assert stand_in["profiles"] == ["cpu"]
        assert stand_in["networks"]["default"]["aliases"] == [name]
        assert "deploy" not in stand_in
        assert stand_in["environment"] == services[name]["environment"]


def test_nothing_starts_before_what_it_needs_is_healthy(services: dict[str, Any]) -> None:
    needs = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert needs["gateway"] == {"triton": {"condition": "service_healthy"}}
    assert needs["gateway-cpu"] == {"triton-cpu": {"condition": "service_healthy"}}
    assert needs["grafana"] == {"prometheus": {"condition": "service_healthy"}}


def test_every_service_is_hardened(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service, name
        for port in service["ports"]:
            assert str(port).startswith("127.0.0.1:"), f"{name} opens {port} to others"


def test_the_limit_of_threads_is_above_the_number_that_serving_needs(services: dict[str, Any]) -> None:
    processes = 15  # of models, including those that replace the native libtorch backend
    callers = 2 * (144 + 160)  # requests that both families' models admit: unary ones and streams
    needed = processes * (THREADS_PER_MODEL + 64) + 3 * callers
    assert needed < services["triton"]["pids_limit"] == services["triton-cpu"]["pids_limit"]
    assert services["gateway"]["pids_limit"] >= 512


def test_a_stop_waits_for_the_longest_clip(services: dict[str, Any]) -> None:
    for name in ("triton", "gateway"):
        minutes = re.fullmatch(r"(\d+)m(?:0s)?", services[name]["stop_grace_period"])
        assert minutes is not None
        assert 60 * int(minutes[1]) > DRAIN_SECONDS + END_SECONDS
    assert services["triton"]["environment"]["AUDIOCRAFT_DRAIN_SECONDS"] == str(DRAIN_SECONDS)


def test_every_mounted_file_exists(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = str(volume).split(":")[0]
            assert not source.startswith("/") or Path(source).exists(), f"{name} mounts {source}"


def test_every_variable_is_explained_and_used() -> None:
    used = set(re.findall(r"\$\{(\w+):?-", (PROJECT / "docker-compose.yml").read_text()))
    explained = set(re.findall(r"^(\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert explained == used


def test_the_example_changes_nothing() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    assert resolved(**variables) == resolved()


def test_the_gateways_variables_are_settings(services: dict[str, Any]) -> None:
    prefix = str(Settings.model_config["env_prefix"])
    for variable in services["gateway"]["environment"]:
        assert variable.removeprefix(prefix).lower() in Settings.model_fields, variable


@pytest.mark.needs_program("promtool")
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    text = (PROJECT / "deploy/compose/prometheus.yml").read_text()
    rules = PROJECT / "deploy/helm/audiocraft-triton/files/rules.yaml"
    here = tmp_path / "prometheus.yml"
    here.write_text(text.replace("/etc/prometheus/rules/*.yaml", str(rules)))
    subprocess.run(["promtool", "check", "config", here], check=True, capture_output=True)


def test_grafana_finds_its_dashboard(services: dict[str, Any]) -> None:
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in services["grafana"]["volumes"]}
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert json.loads(Path(mounted[home]).read_text())["title"]
    provider = yaml.safe_load((PROJECT / "deploy/compose/grafana/dashboards.yml").read_text())["providers"][0]
    assert home.startswith(provider["options"]["path"])
