"""The rendered manifests are consistent with each other."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_manifests import EVERYTHING, Manifest, Render, containers, of_kind, one, pods, selects, serving, settings

from audiocraft_triton.serving.container import END_SECONDS

VARIATIONS: dict[str, tuple[list[Path | str], list[str]]] = {
    "defaults": ([], []),
    "everything": ([EVERYTHING], []),
    "keda": ([EVERYTHING], ["triton.autoscaling.mode=keda"]),
    "download": ([EVERYTHING], ["models.source=download"]),
    "fleet": (["values-fleet.yaml"], []),
    "small": (["values-small-gpu.yaml"], []),
    "laptop": (["values-demo-cpu.yaml"], []),
}


@pytest.fixture(params=VARIATIONS, scope="module")
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    values_files, values = VARIATIONS[request.param]
    return render(values_files, values)


def test_each_selector_matches_its_own_pods_and_no_others(manifests: list[Manifest]) -> None:
    labels = {name: pod for name, pod, _spec in pods(manifests)}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selector = {
            "Deployment": lambda spec=spec: spec["selector"]["matchLabels"],
            "Service": lambda spec=spec: spec["selector"],
            "PodDisruptionBudget": lambda spec=spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec=spec: spec["podSelector"]["matchLabels"],
            "PodMonitor": lambda spec=spec: spec["selector"]["matchLabels"],
        }.get(manifest["kind"])
        if selector is None:
            continue
        own = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
        chosen = {pod["app.kubernetes.io/component"] for pod in labels.values() if selects(selector(), pod)}
        assert chosen == {own}, manifest["metadata"]["name"]


def test_pods_are_spread_against_their_own_kind(everything: list[Manifest]) -> None:
    for _name, labels, spec in pods(everything):
        for constraint in spec.get("topologySpreadConstraints", []):
            assert selects(constraint["labelSelector"]["matchLabels"], labels)
    spread = [spec for _name, _labels, spec in pods(everything) if "topologySpreadConstraints" in spec]
    assert len(spread) == 2


def test_every_port_that_is_named_exists(manifests: list[Manifest]) -> None:
    ports = {
        component: {port["name"]: port["containerPort"] for port in serving(manifests, component)["ports"]}
        for component in ("triton", "gateway")
    }
    assert ports == {"triton": {"http": 8000, "grpc": 8001, "metrics": 8002}, "gateway": {"http": 8080}}
    for service in of_kind(manifests, "Service"):
        component = service["spec"]["selector"]["app.kubernetes.io/component"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports[component]
    for monitor in of_kind(manifests, "PodMonitor"):
        component = monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in ports[component]
    for component in ports:
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert serving(manifests, component)[kind]["httpGet"]["port"] == "http"
    services = {service["metadata"]["name"]: service["spec"]["ports"] for service in of_kind(manifests, "Service")}
    for route in [*of_kind(manifests, "HTTPRoute"), *of_kind(manifests, "GRPCRoute")]:
        (backend,) = route["spec"]["rules"][0]["backendRefs"]
        assert backend["port"] in [port["port"] for port in services[backend["name"]]]
    for ingress in of_kind(manifests, "Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend["port"]["name"] in [port["name"] for port in services[backend["name"]]]


def test_the_gateway_sees_every_triton_pod_and_not_a_single_address(manifests: list[Manifest]) -> None:
    host, port = settings(manifests, "gateway")["AUDIOCRAFT_GATEWAY_TRITON"].split(":")
    name, namespace, _svc = host.split(".")
    service = one(manifests, "Service", name)
    assert namespace == "audio"
    assert service["spec"]["clusterIP"] == "None"
    assert int(port) in [port["port"] for port in service["spec"]["ports"]]


def test_probes_call_endpoints_that_the_servers_have(manifests: list[Manifest]) -> None:
    triton, gateway = serving(manifests, "triton"), serving(manifests, "gateway")
    assert triton["startupProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert triton["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert triton["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_a_start_may_take_as_long_as_the_values_say(render: Render) -> None:
    manifests = render([EVERYTHING], ["triton.startupSeconds=1203"])
    probe = serving(manifests, "triton")["startupProbe"]
    assert 1203 <= probe["periodSeconds"] * probe["failureThreshold"] < 1220
    deployment = one(manifests, "Deployment", "-triton")
    assert deployment["spec"]["progressDeadlineSeconds"] > 1203 + 7200, "the start and the Job before it"


def test_a_pod_has_time_to_drain_before_it_is_killed(manifests: list[Manifest]) -> None:
    drain = int(settings(manifests, "triton")["AUDIOCRAFT_DRAIN_SECONDS"])
    for component in ("triton", "gateway"):
        spec = one(manifests, "Deployment", f"-{component}")["spec"]["template"]["spec"]
        ((program, seconds),) = [spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]]
        assert program == "sleep"
        assert spec["terminationGracePeriodSeconds"] >= int(seconds) + drain + END_SECONDS


def test_the_drain_follows_one_value(render: Render) -> None:
    for seconds in (45, 600):
        manifests = render(set=[f"drainSeconds={seconds}", "preStopSeconds=20"])
        assert settings(manifests, "triton")["AUDIOCRAFT_DRAIN_SECONDS"] == str(seconds)
        for component in ("triton", "gateway"):
            spec = one(manifests, "Deployment", f"-{component}")["spec"]["template"]["spec"]
            assert spec["terminationGracePeriodSeconds"] == seconds + 20 + 45


def test_no_pod_has_more_permissions_than_it_needs(manifests: list[Manifest]) -> None:
    seen = 0
    for name, _labels, spec in pods(manifests):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, "AUDIOCRAFT_GATEWAY_PORT would be a Service's address"
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 1000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all("hostPath" not in volume for volume in spec["volumes"])
        for each in containers(spec):
            seen += 1
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in each["resources"]["limits"], name
            assert not each["image"].endswith(":latest")
            assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", each["image"])
    assert seen >= 3
    for account in of_kind(manifests, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    assert not [manifest for manifest in manifests if manifest["kind"].endswith(("Role", "RoleBinding"))]


def test_everything_that_is_mounted_or_referenced_exists(manifests: list[Manifest]) -> None:
    given = {("Secret", "hub"), ("Secret", "registry"), ("Secret", "grpc-tls"), ("Secret", "audio-tls")}
    there = given | {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    for name, _labels, spec in pods(manifests):
        volumes = {volume["name"] for volume in spec["volumes"]}
        mounted = {mount["name"] for each in containers(spec) for mount in each["volumeMounts"]}
        assert mounted == volumes, name
        referred = [("ServiceAccount", spec["serviceAccountName"])]
        for volume in spec["volumes"]:
            if "configMap" in volume:
                referred.append(("ConfigMap", volume["configMap"]["name"]))
            if "secret" in volume:
                referred.append(("Secret", volume["secret"]["secretName"]))
            if "persistentVolumeClaim" in volume:
                referred.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
        for each in containers(spec):
            referred += [("ConfigMap", source["configMapRef"]["name"]) for source in each.get("envFrom", [])]
            for variable in each.get("env", []):
                if "valueFrom" in variable:
                    referred.append(("Secret", variable["valueFrom"]["secretKeyRef"]["name"]))
        assert set(referred) <= there, name


def test_scalers_and_disruption_budgets_point_at_a_deployment(manifests: list[Manifest]) -> None:
    deployments = {each["metadata"]["name"]: each["spec"] for each in of_kind(manifests, "Deployment")}
    scaled = set()
    for scaler in [*of_kind(manifests, "HorizontalPodAutoscaler"), *of_kind(manifests, "ScaledObject")]:
        target = scaler["spec"]["scaleTargetRef"]
        assert target["kind"] == "Deployment"
        assert target["name"] in deployments
        scaled.add(target["name"])
    for name, spec in deployments.items():
        assert ("replicas" in spec) == (name not in scaled), "a rollout must not undo what a scaler decided"


def test_gpus_are_requested_by_the_name_in_the_values(render: Render) -> None:
    def limits(*values: str) -> dict[str, Any]:
        found: dict[str, Any] = serving(render(set=values), "triton")["resources"]["limits"]
        return found

    assert limits()["nvidia.com/gpu"] == 1
    sliced = limits("triton.gpuResource=nvidia.com/mig-1g.10gb")
    assert sliced["nvidia.com/mig-1g.10gb"] == 1
    assert limits("triton.gpus=4")["nvidia.com/gpu"] == 4
    assert "nvidia.com/gpu" not in sliced
    assert set(limits("triton.gpus=0")) == {"memory"}


def test_shared_memory_is_memory_and_bounded(manifests: list[Manifest]) -> None:
    spec = one(manifests, "Deployment", "-triton")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert volumes[mounts["/dev/shm"]["name"]]["emptyDir"]["medium"] == "Memory"
    assert "sizeLimit" in volumes[mounts["/dev/shm"]["name"]]["emptyDir"]
    assert "sizeLimit" in volumes[mounts["/tmp"]["name"]]["emptyDir"]


def test_keys_are_in_secrets_and_nowhere_else(everything: list[Manifest]) -> None:
    keys = ["the-admin-key-of-a-test", "first-key-of-the-test", "second-key-of-the-test"]
    secret = one(everything, "Secret")
    assert base64.b64decode(secret["data"]["admin-key"]).decode() == keys[0]
    assert base64.b64decode(secret["data"]["api-keys"]).decode().splitlines() == keys[1:]
    elsewhere = yaml.safe_dump([manifest for manifest in everything if manifest["kind"] != "Secret"])
    for key in keys:
        assert key not in elsewhere
        assert base64.b64encode(key.encode()).decode() not in elsewhere


def test_the_gateway_reads_its_keys_from_the_mounted_file(everything: list[Manifest]) -> None:
    file = Path(settings(everything, "gateway")["AUDIOCRAFT_GATEWAY_API_KEYS_FILE"])
    spec = one(everything, "Deployment", "-gateway")["spec"]["template"]["spec"]
    mount = next(mount for mount in spec["containers"][0]["volumeMounts"] if mount["mountPath"] == str(file.parent))
    volume = next(volume for volume in spec["volumes"] if volume["name"] == mount["name"])
    assert file.name in [item["path"] for item in volume["secret"]["items"]]
    assert "optional" not in volume["secret"], "without its keys the gateway must not start: it would be open to all"


def test_a_changed_setting_or_key_makes_new_pods(render: Render) -> None:
    def template(*values: str) -> str:
        manifests = render([EVERYTHING], values)
        return yaml.safe_dump([one(manifests, "Deployment", f"-{name}")["spec"] for name in ("triton", "gateway")])

    before = template()
    assert template() == before
    for change in (
        "triton.musicgen.slots=33",
        "triton.adminKey.value=another-key-of-the-test",
        "gateway.rateLimit=1/second",
        "gateway.apiKeys.values={another-key-of-the-test}",
    ):
        assert template(change) != before, change
