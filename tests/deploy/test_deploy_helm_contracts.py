"""The chart agrees with the rest of the project on settings, commands, paths and metrics."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from chart_manifests import EVERYTHING, Manifest, Render, containers, of_kind, one, serving, settings

from audiocraft_triton.contract.limits import DRAIN_SECONDS, MAX_BODY_BYTES, MAX_SECONDS, MIN_SECONDS

PROJECT = Path(__file__).resolve().parents[2]
FILES = PROJECT / "deploy" / "helm" / "audiocraft-triton" / "files"


def prepare_container(manifests: list[Manifest]) -> Manifest:
    job = one(manifests, "Job")
    found: Manifest = job["spec"]["template"]["spec"]["containers"][0]
    return found


def test_every_variable_of_triton_is_a_parameter_of_a_model(everything: list[Manifest]) -> None:
    parameters = set()
    for config in (PROJECT / "model_repository").glob("*/config.pbtxt"):
        model = config.parent.name.removesuffix("_stream")
        for key in re.findall(r'key: "(\w+)", value: \{ string_value', config.read_text()):
            parameters.add(f"AUDIOCRAFT_{model}_{key}".upper())
    of_the_container = {"AUDIOCRAFT_DRAIN_SECONDS", "AUDIOCRAFT_MODEL_REPOSITORY"}
    of_the_user = {"HF_HUB_DISABLE_TELEMETRY"}
    variables = set(settings(everything, "triton"))
    assert variables - of_the_container - of_the_user <= parameters
    assert variables >= of_the_container
    assert {name for name in parameters if name.endswith(("_CHECKPOINT", "_SLOTS", "_MAX_WAITING"))} <= variables


def test_the_container_reads_its_own_variables() -> None:
    source = (PROJECT / "audiocraft_triton" / "serving" / "container.py").read_text()
    for name in ("AUDIOCRAFT_DRAIN_SECONDS", "AUDIOCRAFT_MODEL_REPOSITORY", "AUDIOCRAFT_ADMIN_KEY"):
        assert name in source


def test_the_unary_model_admits_more_than_all_engines_of_the_pod(render: Render) -> None:
    def most(*values: str) -> int:
        return int(settings(render(set=values), "triton")["AUDIOCRAFT_MUSICGEN_MAX_CONCURRENT"])

    assert most() > 64 + 64
    assert most("triton.gpus=4") > 4 * (64 + 64)
    assert most("triton.gpus=2", "triton.musicgen.slots=32", "triton.musicgen.maxWaiting=8") > 2 * (32 + 8)


def test_values_and_their_bounds_are_the_contracts() -> None:
    chart = FILES.parent
    values = yaml.safe_load((chart / "values.yaml").read_text())
    assert values["drainSeconds"] == DRAIN_SECONDS
    assert (values["gateway"]["maxAudioSeconds"], values["gateway"]["maxBodyBytes"]) == (MAX_SECONDS, MAX_BODY_BYTES)
    schema = json.loads((chart / "values.schema.json").read_text())
    bounds = schema["properties"]["gateway"]["properties"]["maxAudioSeconds"]
    assert (bounds["minimum"], bounds["maximum"]) == (MIN_SECONDS, MAX_SECONDS)


def test_the_gateway_understands_its_settings(everything: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    from audiocraft_triton.gateway.settings import Settings

    variables = settings(everything, "gateway")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    own = {name for name in variables if name.startswith("AUDIOCRAFT_GATEWAY_")}
    assert own <= {f"AUDIOCRAFT_GATEWAY_{field}".upper() for field in Settings.model_fields}
    understood = Settings()
    assert understood.triton == "demo-audiocraft-triton-pods.audio.svc:8001"
    assert (understood.host, understood.port) == ("0.0.0.0", 8080)
    assert list(understood.allowed_origins) == ["https://example.org"]
    assert list(understood.trusted_proxies) == ["10.0.0.0/8", "192.168.0.1"]
    assert understood.rate_limit == "60/minute"
    assert understood.api_keys_file == Path("/keys/api-keys")
    assert len(understood.api_keys) == 0


def test_the_chart_s_defaults_are_the_gateway_s(render: Render) -> None:
    from audiocraft_triton.gateway.settings import Settings

    variables = settings(render(), "gateway")
    chosen = ("HOST", "TRITON")
    for field, info in Settings.model_fields.items():
        name = f"AUDIOCRAFT_GATEWAY_{field}".upper()
        if name in variables and not name.endswith(chosen):
            default = ",".join(info.default) if isinstance(info.default, tuple) else str(info.default)
            assert variables[name].removesuffix(".0") == default.removesuffix(".0"), name


def test_the_outside_reaches_every_public_path_and_no_internal_one(everything: list[Manifest]) -> None:
    from audiocraft_triton.gateway.app import create_app
    from audiocraft_triton.gateway.settings import Settings

    internal = {"/metrics", "/livez", "/readyz"}
    routes = {re.sub(r"/\{.*", "/x", path) for path in create_app(Settings()).openapi()["paths"]}
    routes |= {"/", "/static/x", "/docs", "/openapi.json"}
    shown = [
        (path["path"], path["pathType"])
        for path in one(everything, "Ingress", "-gateway")["spec"]["rules"][0]["http"]["paths"]
    ]
    matches = one(everything, "HTTPRoute")["spec"]["rules"][0]["matches"]
    assert [(match["path"]["value"], match["path"]["type"].removeprefix("Path")) for match in matches] == shown

    def reaches(route: str) -> bool:
        return any(
            route == path or (kind == "Prefix" and route.startswith(path.rstrip("/") + "/")) for path, kind in shown
        )

    assert {route for route in routes if not reaches(route)} == routes & internal
    assert not any(reaches(path) for path in internal)


def test_the_commands_that_prepare_models_exist(everything: list[Manifest]) -> None:
    from audiocraft_triton.cli.main import load_command

    (script,) = prepare_container(everything)["args"]
    commands = re.findall(r"^audiocraft-triton (\w+) (.*)$", script, re.MULTILINE)
    assert [name for name, _arguments in commands] == ["fetch", "export"]
    for name, arguments in commands:
        options = {option for parameter in load_command(name).params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[\w-]+", arguments)) <= options, name


def test_new_models_are_prepared_next_to_those_that_are_served(render: Render) -> None:
    def prepared(*values: str) -> tuple[str, str, str]:
        manifests = render(["values-small-gpu.yaml"], values)
        repository = settings(manifests, "triton")["AUDIOCRAFT_MODEL_REPOSITORY"]
        (script,) = prepare_container(manifests)["args"]
        assert f"--repository {repository}\n" in script
        spec = one(manifests, "Deployment", "-triton")["spec"]["template"]["spec"]
        (waiting,) = spec["initContainers"][0]["args"]
        (marker,) = set(re.findall(r"/models/\.prepared-\w+", script))
        assert f"test -e {marker}" in waiting, "no pod starts before its models are prepared"
        (mount,) = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "models"]
        assert mount["readOnly"] is True
        return one(manifests, "Job")["metadata"]["name"], repository, marker

    before = prepared()
    assert prepared() == before, "an upgrade that changes no model must not download"
    for change in ("models.lock=something", "triton.image.tag=v2", "models.checkpoints[2]=facebook/musicgen-large"):
        after = prepared(change)
        assert all(new != old for new, old in zip(after, before, strict=True)), change


def test_a_job_that_cannot_be_changed_is_replaced_and_the_pods_stay(render: Render) -> None:
    before, after = render([EVERYTHING]), render([EVERYTHING], ["models.resources.limits.memory=20Gi"])
    assert one(after, "Job")["metadata"]["name"] != one(before, "Job")["metadata"]["name"]
    assert one(after, "Deployment", "-triton") == one(before, "Deployment", "-triton")
    labels = one(before, "Job")["spec"]["template"]["metadata"]["labels"]
    assert not labels.keys() & {"helm.sh/chart", "app.kubernetes.io/version"}, "they change while the name does not"


def test_containers_that_download_may_go_online_and_those_that_serve_may_not(everything: list[Manifest]) -> None:
    variables = {each["name"]: each.get("value") for each in prepare_container(everything)["env"]}
    assert variables["HF_HUB_OFFLINE"] == "0"
    assert "HF_TOKEN" in variables
    serving_container = serving(everything, "triton")
    names = {each["name"] for each in serving_container["env"]} | set(settings(everything, "triton"))
    assert not names & {"HF_HUB_OFFLINE", "HF_TOKEN"}, "the image says offline"


def test_each_scaler_queries_a_series_that_the_rules_record(render: Render) -> None:
    groups = yaml.safe_load((FILES / "rules.yaml").read_text())["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    (adapter,) = yaml.safe_load((FILES / "prometheus-adapter-values.yaml").read_text())["rules"]["custom"]
    series = adapter["seriesQuery"].split("{")[0]
    assert series in recorded
    assert re.match(adapter["name"]["matches"], series)
    autoscaler = one(render([EVERYTHING]), "HorizontalPodAutoscaler", "-triton")
    (metric,) = autoscaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == adapter["name"]["as"]
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "700m"}
    manifests = render([EVERYTHING], ["triton.autoscaling.mode=keda", "triton.autoscaling.targetPressure=0.65"])
    (trigger,) = one(manifests, "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == "0.65"
    assert set(re.findall(r"audiocraft:[\w:]+", trigger["metadata"]["query"])) <= recorded


def test_keda_counts_this_release_s_pods_only(render: Render) -> None:
    (trigger,) = one(render([EVERYTHING], ["triton.autoscaling.mode=keda"]), "ScaledObject")["spec"]["triggers"]
    found = re.search(r'pod=~"([^"]+)"', trigger["metadata"]["query"])
    assert found is not None
    assert re.fullmatch(found[1], "demo-audiocraft-triton-7d4b9c6f5-x2x4z")
    for other in ("other-demo-audiocraft-triton-7d4b9c6f5-x2x4z", "demo-audiocraft-gateway-7d4b9c6f5-x2x4z"):
        assert not re.fullmatch(found[1], other)
    assert 'namespace="audio"' in trigger["metadata"]["query"]


class _Gateway(BaseHTTPRequestHandler):
    """Answers like the gateway and remembers the requests."""

    asked: list[tuple[str, str, str | None, bytes]] = []  # noqa: RUF012
    clip = b"RIFF...."

    def do_GET(self) -> None:
        self._answer(b'{"status": "ok"}')

    def do_POST(self) -> None:
        self._answer(self.clip)

    def log_message(self, *_arguments: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, self.headers["Authorization"], sent))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def fake_gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Gateway, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("clip", [b"RIFF....", b"<html>"])
def test_helm_test_requests_health_and_a_valid_clip(
    everything: list[Manifest], fake_gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: bytes
) -> None:
    from audiocraft_triton.gateway.schemas import ClipRequest

    monkeypatch.setattr(_Gateway, "clip", clip)
    (container,) = containers(one(everything, "Pod")["spec"])
    (script,) = container["args"]
    assert "demo-audiocraft-gateway:80" in script
    assert one(everything, "Service", "audiocraft-gateway")["spec"]["ports"][0]["port"] == 80
    keys = tmp_path / "api-keys"
    keys.write_text("first-key\nsecond-key")
    result = subprocess.run(
        [sys.executable, "-c", script.replace("demo-audiocraft-gateway:80", fake_gateway)],
        env={"KEYS_FILE": str(keys)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (result.returncode == 0) == (clip == b"RIFF...."), result.stderr
    health, music = _Gateway.asked
    assert health[:2] == ("GET", "/health")
    assert music[:3] == ("POST", "/generate/music", "Bearer first-key")
    ClipRequest.model_validate(json.loads(music[3]))


def test_helm_test_without_a_gateway_is_python_that_compiles(render: Render) -> None:
    (container,) = containers(one(render(set=["gateway.enabled=false"]), "Pod")["spec"])
    (script,) = container["args"]
    compile(script, "helm test", "exec")
    assert of_kind(render(set=["gateway.enabled=false"]), "Deployment")[0]["metadata"]["name"].endswith("-triton")
    assert "demo-audiocraft-triton:8001" in script
