"""Network policies, and what is exposed to the outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_manifests import EVERYTHING, Manifest, Render, of_kind, one, pods, settings

VARIATIONS: dict[str, tuple[list[Path | str], list[str]]] = {
    "defaults": ([], []),
    "everything": ([EVERYTHING], []),
    "download": ([EVERYTHING], ["models.source=download"]),
    "fleet": (["values-fleet.yaml"], []),
}


@pytest.fixture(params=VARIATIONS, scope="module")
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    values_files, values = VARIATIONS[request.param]
    return render(values_files, values)


def rule_ports(peers: list[dict[str, Any]]) -> set[tuple[int, str]]:
    return {(port["port"], port["protocol"]) for rule in peers for port in rule["ports"]}


def test_pods_may_connect_only_to_dns_and_the_gateway_also_to_triton(manifests: list[Manifest]) -> None:
    dns = {(53, "UDP"), (53, "TCP")}
    policies = {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: policy["spec"]
        for policy in of_kind(manifests, "NetworkPolicy")
    }
    for name, labels, _spec in pods(manifests):
        assert labels["app.kubernetes.io/component"] in policies, name
    for component, spec in policies.items():
        assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
        assert all(rule.get("to") and rule.get("ports") for rule in spec["egress"]), "an empty rule allows all egress"
        assert all(rule.get("from") and rule.get("ports") for rule in spec.get("ingress", [])), component
        others = [rule for rule in spec["egress"] if rule_ports([rule]) != dns]
        downloads = "prepare-models" in yaml.safe_dump(
            [pod for _name, labels, pod in pods(manifests) if labels["app.kubernetes.io/component"] == component]
        )
        if downloads:
            assert rule_ports(others) == {(443, "TCP")}
            assert any("169.254.0.0/16" in peer["ipBlock"]["except"] for peer in others[0]["to"])
        elif component == "triton":
            assert others == []
        elif component == "gateway":
            ((peer,),) = [rule["to"] for rule in others]
            assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "triton"
            assert rule_ports(others) == {(8001, "TCP")}
        else:
            assert component == "test"


def test_only_the_gateway_reaches_triton_unless_its_grpc_is_exposed(render: Render) -> None:
    def may_call(*values: str) -> list[dict[str, Any]]:
        spec = one(render(set=values), "NetworkPolicy", "-triton")["spec"]
        peers: list[dict[str, Any]] = [peer for rule in spec["ingress"] for peer in rule["from"]
                                       if (8001, "TCP") in rule_ports([rule])]  # fmt: skip
        return peers

    closed = may_call()
    components = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in closed}
    assert components == {"gateway", "test"}
    opened = may_call("triton.grpcRoute.enabled=true", "triton.grpcRoute.parentRefs[0].name=public")
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in opened


def test_the_outside_gets_no_administrative_grpc_call(everything: list[Manifest]) -> None:
    allowed = {
        "ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer", "ModelStreamInfer",
    }  # fmt: skip
    route = one(everything, "GRPCRoute")["spec"]["rules"][0]["matches"]
    assert {match["method"]["method"] for match in route} == allowed
    assert all(match["method"]["type"] == "Exact" for match in route)
    paths = one(everything, "Ingress", "-triton")["spec"]["rules"][0]["http"]["paths"]
    assert {path["path"] for path in paths} == {f"/inference.GRPCInferenceService/{name}" for name in allowed}
    assert all(path["pathType"] == "Exact" for path in paths)


def test_ingress_streams_and_waits_long_enough(everything: list[Manifest]) -> None:
    ingress = one(everything, "Ingress", "-gateway")["metadata"]["annotations"]
    limit = int(settings(everything, "gateway")["AUDIOCRAFT_GATEWAY_MAX_BODY_BYTES"])
    timeout = int(settings(everything, "gateway")["AUDIOCRAFT_GATEWAY_CALL_TIMEOUT"])
    assert ingress["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert int(ingress["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= timeout
    assert int(ingress["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m")) << 20 >= limit
    route = one(everything, "HTTPRoute")["spec"]["rules"][0]
    assert int(route["timeouts"]["request"].removesuffix("s")) >= timeout
