"""The chart renders into manifests that Kubernetes accepts, with every set of values."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from chart_manifests import EVERYTHING, ChartRefused, Manifest, Render, of_kind, one
from kubernetes_validate import utils as kubernetes_schemas

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "audiocraft-triton"
READY_MADE = sorted(path.name for path in CHART.glob("values-*.yaml"))
VARIATIONS: dict[str, tuple[list[Path | str], list[str]]] = {
    "defaults": ([], []),
    **{name: ([name], []) for name in READY_MADE},
    "everything": ([EVERYTHING], []),
    "keda": ([EVERYTHING], ["triton.autoscaling.mode=keda", "triton.autoscaling.keda.authenticationRef=prometheus"]),
    "download": ([EVERYTHING], ["models.source=download"]),
    "claim": (
        [],
        ["models.source=claim", "models.existingClaim=weights", "models.repository=/models/model_repository"],
    ),
    "existing secrets": (
        [],
        ["triton.adminKey.existingSecret=mine", "gateway.apiKeys.existingSecret=mine", "fullnameOverride=other"],
    ),
    "no gateway": ([EVERYTHING], ["gateway.enabled=false", "networkPolicy.enabled=false"]),
    "fleet on KEDA": (["values-fleet.yaml"], ["triton.autoscaling.mode=keda"]),
}
KUBERNETES = [version for version in kubernetes_schemas.all_versions() if int(version.split(".")[1]) >= 29]
CUSTOM: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "crd_schemas.yaml").read_text())


@pytest.fixture(scope="module", autouse=True)
def _each_schema_is_read_once() -> Iterator[None]:
    """A schema is megabytes of JSON, and kubernetes-validate would read it again for every manifest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kubernetes_schemas, "schema_contents", lru_cache(maxsize=None)(kubernetes_schemas.schema_contents)
        )
        yield


@pytest.fixture(params=VARIATIONS, scope="module")
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    values_files, values = VARIATIONS[request.param]
    return render(values_files, values)


def test_there_are_values_for_a_laptop_one_small_gpu_one_h100_and_many() -> None:
    assert READY_MADE == ["values-demo-cpu.yaml", "values-fleet.yaml", "values-h100.yaml", "values-small-gpu.yaml"]


@pytest.mark.parametrize("variation", VARIATIONS)
def test_helm_lint_finds_nothing(helm: Path, variation: str) -> None:
    values_files, values = VARIATIONS[variation]
    command = [str(helm), "lint", "--strict", str(CHART)]
    for file in values_files:
        command += ["--values", str(CHART / file)]
    for pair in values:
        command += ["--set", pair]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "[WARNING]" not in result.stdout + result.stderr


def test_every_manifest_fits_the_schemas_of_every_kubernetes_from_1_29(manifests: list[Manifest]) -> None:
    assert len(KUBERNETES) >= 9
    for manifest in manifests:
        if manifest["kind"] in CUSTOM:
            continue
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                name = f"{manifest['kind']}/{manifest['metadata']['name']}"
                pytest.fail(f"{name}, Kubernetes {version}: {list(error.path)}: {error.message}")


def test_every_custom_resource_fits_the_fields_of_its_definition(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] in CUSTOM:
            known = CUSTOM[manifest["kind"]]
            assert manifest["apiVersion"] == known["apiVersion"]
            jsonschema.Draft202012Validator(known["spec"]).validate(manifest["spec"])


def test_everything_contains_every_kind_of_the_chart(render: Render) -> None:
    kinds = {manifest["kind"] for manifest in render([EVERYTHING])}
    kinds |= {manifest["kind"] for manifest in render([EVERYTHING], ["triton.autoscaling.mode=keda"])}
    written = {
        line.removeprefix("kind: ").strip()
        for template in (CHART / "templates").rglob("*.yaml")
        for line in template.read_text().splitlines()
        if line.startswith("kind: ")
    }
    assert kinds == written
    assert set(CUSTOM) <= kinds


def test_a_mistyped_field_would_be_noticed(render: Render) -> None:
    manifest = one(render(), "Deployment", "-triton")
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["readinesProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)


def test_no_two_manifests_have_the_same_name(manifests: list[Manifest]) -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))


def test_an_old_kubernetes_is_refused(helm: Path) -> None:
    command = [str(helm), "template", "demo", str(CHART), "--kube-version", "1.28.0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode != 0
    assert "1.29" in result.stderr


def test_alerts_link_to_the_runbooks_at_the_configured_address(render: Render) -> None:
    def links(*values: str) -> list[str]:
        groups = one(render(["values-fleet.yaml"], values), "PrometheusRule")["spec"]["groups"]
        return [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule]

    page = "https://wiki.example.org:8443/audio%20ops/runbook?version=2&raw=$1"
    chosen = links(f"monitoring.runbookUrl={page}")
    assert len(chosen) >= 8
    assert chosen == [f"{page}#{link.partition('#')[2]}" for link in links()]


@pytest.mark.parametrize("page", ["docs/operations.md", "https://x/#heading", "https://x/ y", "ftp://x/", ""])
def test_runbooks_that_no_link_can_reach_are_refused(render: Render, page: str) -> None:
    with pytest.raises(ChartRefused, match="runbookUrl"):
        render([], [f"monitoring.runbookUrl={page}"])


def test_the_rules_and_the_dashboard_reach_the_cluster_unchanged(render: Render) -> None:
    manifests = render(["values-fleet.yaml"])
    rules = one(manifests, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    dashboards = [
        manifest
        for manifest in of_kind(manifests, "ConfigMap")
        if manifest["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    assert len(dashboards) == 1
    (content,) = dashboards[0]["data"].values()
    assert json.loads(content) == json.loads((CHART / "files" / "dashboard.json").read_text())
    assert len(content) < 900_000, "a ConfigMap holds at most 1 MiB"


def test_long_names_are_cut_before_kubernetes_refuses_them(render: Render) -> None:
    manifests = render([EVERYTHING], ["fullnameOverride=" + "a-long-name-" * 8 + "end"])
    for manifest in manifests:
        # A pod's name is its Deployment's and up to 17 characters more, at most 63 in all.
        assert len(manifest["metadata"]["name"]) <= 63 - 1
    assert all(len(manifest["metadata"]["name"]) <= 46 + 10 for manifest in of_kind(manifests, "Deployment"))
