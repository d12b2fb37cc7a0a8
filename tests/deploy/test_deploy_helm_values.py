"""The chart refuses unknown values, and values that can't work, before anything is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from chart_manifests import EVERYTHING, ChartRefused, Render

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "audiocraft-triton"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
FREE = ("annotations", "env", "nodeSelector", "podAnnotations", "podLabels", "labels", "matchLabels", "affinity")


def mappings(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the path to every mapping in the values whose keys are the chart's own."""
    yield path
    for key, value in values.items():
        if isinstance(value, dict) and key not in FREE:
            yield from mappings(value, (*path, key))


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields every setting with its default."""
    for key, value in values.items():
        if isinstance(value, dict) and key not in FREE:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def with_value(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Returns the defaults with one setting changed."""
    changed: dict[str, Any] = json.loads(json.dumps(DEFAULTS))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def is_valid(values: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(values))


def test_the_defaults_are_valid_and_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(DEFAULTS)


@pytest.mark.parametrize("path", list(mappings(DEFAULTS)), ids=".".join)
def test_an_unknown_key_is_refused_at_every_depth(path: tuple[str, ...]) -> None:
    assert not is_valid(with_value((*path, "unknownKey"), 1))


@pytest.mark.parametrize(("path", "default"), list(leaves(DEFAULTS)), ids=lambda value: str(value)[:40])
def test_every_setting_refuses_another_type(path: tuple[str, ...], default: Any) -> None:
    wrong: Any = "text" if isinstance(default, (bool, int, float, list, dict)) else ["a list"]
    assert not is_valid(with_value(path, wrong)), ".".join(path)


def test_every_property_of_the_schema_is_in_values_yaml() -> None:
    def known(schema: dict[str, Any], values: Any, path: str) -> None:
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]]
        for key, inner in schema.get("properties", {}).items():
            if path == "" and key == "global":
                continue  # Helm's own
            if isinstance(values, dict) and path.rsplit(".", 1)[-1] not in (*FREE, "requests", "limits"):
                assert key in values, f"{path}.{key}"
                known(inner, values[key], f"{path}.{key}")

    known(SCHEMA, DEFAULTS, "")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("gpu=1", "gpu"),
        ("triton.gpuCount=2", "gpuCount"),
        ("triton.autoscaling.keda.fallback.replica=2", "replica"),
        ("gateway.autoscaling.mode=hpa", "mode"),
        ("triton.replicas=two", "replicas"),
        ("triton.gpus=-1", "gpus"),
        ("triton.musicgen.slots=0", "slots"),
        ("triton.musicgen.checkpoint=facebook/musicgen-small", "checkpoint"),
        ("triton.image.tag=latest", "tag"),
        ("gateway.image.tag=latest", "tag"),
        ("triton.image.digest=sha256:12", "digest"),
        ("triton.resources.limits.nvidia\\.com/gpu=1", "nvidia.com/gpu"),
        ("triton.adminKey.value=short", "adminKey"),
        ("gateway.apiKeys.values={short}", "values"),
        ("gateway.allowedOrigins={*}", "allowedOrigins"),
        ("gateway.maxAudioSeconds=301", "maxAudioSeconds"),
        ("models.source=hub", "source"),
        ("models.checkpoints={musicgen-small; rm -rf /}", "checkpoints"),
    ],
)
def test_helm_names_what_it_refuses(render: Render, values: str, said: str) -> None:
    with pytest.raises(ChartRefused, match=re.escape(said)):
        render(set=[values])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["triton.autoscaling.mode={hpa,keda}"], "mode"),
        (["triton.autoscaling.mode=both"], "mode"),
        (["triton.autoscaling.minReplicas=5"], "maxReplicas=4"),
        (["gateway.autoscaling.minReplicas=11"], "maxReplicas=10"),
        (["triton.strategy.maxSurge=0"], "maxSurge and maxUnavailable"),
        (["gateway.strategy.maxSurge=0"], "maxSurge and maxUnavailable"),
        (["triton.gpus=2", "triton.gpuResource=nvidia.com/mig-1g.10gb"], "triton.gpus=2"),
        (["triton.gpus=2", "triton.gpuResource=nvidia.com/gpu.shared"], "triton.gpus=2"),
        (["models.source=claim"], "models.existingClaim"),
        (["models.source=job"], "models.checkpoints"),
        (["models.source=download"], "models.checkpoints"),
        (["models.checkpoints={facebook/musicgen-small}"], "models.source"),
        (["triton.musicgen.checkpoint=/models/facebook/musicgen-small"], "models.source=image"),
        (
            [
                "triton.audiogen.checkpoint=/models/facebook/audiogen-medium",
                "models.source=job",
                "models.checkpoints={facebook/musicgen-small}",
            ],
            "does not fetch facebook/audiogen-medium",
        ),
        (["triton.adminKey.value=a-key-of-16-letters", "triton.adminKey.existingSecret=mine"], "not both"),
        (["gateway.apiKeys.values={a-key-of-16-letters}", "gateway.apiKeys.existingSecret=mine"], "not both"),
        (["triton.ingress.enabled=true"], "host"),
        (["triton.ingress.enabled=true", "triton.ingress.host=a.example.org"], "TLS"),
        (["triton.grpcRoute.enabled=true"], "parentRefs"),
        (["gateway.httpRoute.enabled=true"], "parentRefs"),
        (["gateway.ingress.enabled=true", "gateway.ingress.tlsSecret=tls"], "host"),
    ],
)
def test_a_combination_that_cannot_work_is_refused(render: Render, values: list[str], said: str) -> None:
    with pytest.raises(ChartRefused, match=re.escape(said)):
        render(set=values)


def test_hpa_and_keda_never_scale_the_same_pods(render: Render) -> None:
    for mode, made, not_made in (
        ("hpa", "HorizontalPodAutoscaler", "ScaledObject"),
        ("keda", "ScaledObject", "HorizontalPodAutoscaler"),
    ):
        manifests = render([EVERYTHING], [f"triton.autoscaling.mode={mode}"])
        scaled = [manifest for manifest in manifests if manifest["metadata"]["name"] == "demo-audiocraft-triton"]
        assert made in {manifest["kind"] for manifest in scaled}
        assert not_made not in {manifest["kind"] for manifest in scaled}


def test_the_chart_can_be_a_subchart() -> None:
    assert is_valid({**DEFAULTS, "global": {"anything": 1}})


def test_the_readme_names_every_group_of_settings() -> None:
    readme = (CHART / "README.md").read_text()
    for group, settings in DEFAULTS.items():
        for name in settings if isinstance(settings, dict) else [None]:
            setting = group if name is None else f"{group}.{name}"
            assert f"`{setting}" in readme, setting


def test_every_object_of_the_schema_refuses_unknown_keys() -> None:
    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            if "properties" in schema and schema.get("type") == "object":
                yield schema
            for inner in schema.values():
                yield from objects(inner)
        elif isinstance(schema, list):
            for inner in schema:
                yield from objects(inner)

    found = list(objects(SCHEMA))
    assert len(found) > 30
    assert [schema for schema in found if schema.get("additionalProperties") is not False] == []
