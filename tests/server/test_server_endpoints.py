"""Other ways to the server: curl, the command line, health, metrics, and the embedded server's own commands."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiocraft_client import Client
from scraping import exported, prometheus

from audiocraft_triton.serving.embedded.server import EmbeddedServer

BIN = Path(sys.executable).parent
SERVED_TO_CALLERS = {"musicgen", "audiogen", "encode", "decode", "analyze", "multiband_diffusion"}


def _cli(server_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "audiocraft-client"), "--server", server_url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_generate_with_curl_gives_a_playable_file(server: EmbeddedServer) -> None:
    body = json.dumps({"text": "calm piano", "duration": 0.5, "seed": 4, "base64": True})
    url = f"{server.http_url}/v2/models/musicgen/generate"
    answer = subprocess.run(["curl", "-sS", "--fail", url, "-d", body], capture_output=True, check=True, timeout=60)
    fields = json.loads(answer.stdout)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(fields["audio"])))
    assert (rate, len(samples)) == (32_000, 16_000)
    assert fields["seed"] == 4


def test_generate_stream_with_curl_sends_events(server: EmbeddedServer) -> None:
    body = json.dumps({"text": "calm piano", "duration": 1.0, "chunk_seconds": 0.25})
    url = f"{server.http_url}/v2/models/musicgen_stream/generate_stream"
    answer = subprocess.run(["curl", "-sSN", "--fail", url, "-d", body], capture_output=True, check=True, timeout=60)
    events = [json.loads(line[6:]) for line in answer.stdout.decode().splitlines() if line.startswith("data: ")]
    assert [len(event["waveform"]) for event in events] == [8000] * 4


def test_curl_receives_the_reason_of_an_error(server: EmbeddedServer) -> None:
    url = f"{server.http_url}/v2/models/musicgen/generate"
    answer = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", url, "-d", '{"text": "x", "duration": 0}'],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    body, status = answer.stdout.rsplit("\n", 1)
    assert status == "400"
    assert "duration=0.0: must be between 0.1 and 300 seconds" in json.loads(body)["error"]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_command_line_generates_encodes_and_decodes(server: EmbeddedServer, protocol: str, tmp_path: Path) -> None:
    url = server.grpc_url if protocol == "grpc" else server.http_url
    clip, codes, decoded = (str(tmp_path / name) for name in ("clip.wav", "codes.npz", "decoded.flac"))
    made = _cli(url, "music", "calm piano", "-o", clip, "--duration", "1", "--seed", "7", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {
        "output": clip,
        "duration": 1.0,
        "sample_rate": 32_000,
        "channels": 1,
        "seed": 7,
    }
    assert _cli(url, "sound", "rain", "-o", str(tmp_path / "rain.wav"), "--duration", "0.5").returncode == 0
    assert soundfile.info(tmp_path / "rain.wav").samplerate == 16_000
    assert _cli(url, "encode", clip, "-o", codes).returncode == 0
    assert np.load(codes)["codes"].shape == (4, 50)
    assert _cli(url, "decode", codes, "-o", decoded).returncode == 0
    assert soundfile.info(decoded).frames == 32_000
    shown = _cli(url, "analyze", clip)
    assert shown.returncode == 0
    assert "realness" in shown.stdout
    health = _cli(url, "health", "--json")
    assert health.returncode == 0
    assert json.loads(health.stdout)["status"] == "ready"


def test_the_command_line_says_what_is_wrong_and_exits_with_2(server: EmbeddedServer, tmp_path: Path) -> None:
    output = tmp_path / "clip.wav"
    result = _cli(server.grpc_url, "music", "x", "-o", str(output), "--duration", "-1")
    assert result.returncode == 2
    assert "duration=-1.0: must be between 0.1 and 300 seconds" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_health_names_every_model_and_the_discriminators(client: Client) -> None:
    health = client.health()
    assert health.status == "ready"
    assert health.version == "2.51.0"
    assert set(health.models) >= SERVED_TO_CALLERS
    assert all(health.models.values())
    assert health.discriminators == {"mpd": True, "msd": True, "msstftd": True}


@pytest.mark.needs_program("prometheus")
def test_a_real_prometheus_scrapes_the_server(server: EmbeddedServer, tmp_path: Path) -> None:
    with Client(server.grpc_url) as client:
        client.music("x", duration=0.2)
    with prometheus(server, tmp_path) as scraper:
        assert scraper.first_value('nv_inference_request_success{model="musicgen"}') >= 1


def test_demo_ends_with_a_table_and_the_files(model_repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        *(str(BIN / "audiocraft-triton"), "demo", "fast rock", "--duration", "1"),
        *("--out", str(out), "--repository", str(model_repository)),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    for step in ("generate music", "encode", "decode", "analyze", "generate sound"):
        assert step in result.stdout
    assert soundfile.info(out / "music.wav").samplerate == 32_000
    assert soundfile.info(out / "sound.wav").samplerate == 16_000
    assert (out / "music.png").read_bytes().startswith(b"\x89PNG")
    assert np.load(out / "codes.npz")["codes"].shape == (4, 50)


def test_serve_prints_things_to_try_and_stops_on_ctrl_c(model_repository: Path) -> None:
    ports = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    process = subprocess.Popen(
        [str(BIN / "audiocraft-triton"), "serve", "--repository", str(model_repository), *ports],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    shown = []
    for line in process.stderr:
        shown.append(line)
        if "Ctrl-C stops the server" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    text = "".join(shown)
    assert "curl" in text
    assert "audiocraft-client" in text
    assert "client.music" in text
    assert process.returncode == 0, rest
    assert "Traceback" not in text + rest


def test_serve_refuses_an_address_that_others_can_reach() -> None:
    command = [str(BIN / "audiocraft-triton"), "serve", "--address", "0.0.0.0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    message = " ".join(result.stderr.split())
    assert "loopback only" in message
    assert "--i-know-this-is-unsafe" in message


def test_export_refuses_an_unknown_checkpoint(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    command = [str(BIN / "audiocraft-triton"), "export", "--checkpoint", "no such thing"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "unknown checkpoint 'no such thing'" in " ".join(result.stderr.split())


def test_the_metrics_that_the_documentation_names_exist(server: EmbeddedServer) -> None:
    operations = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()
    table = operations.split("| metric | what it tells |")[1].split("\n\n")[0]
    named = {name for name in re.findall(r"`(\w+)", table) if not name.startswith("nv_gpu_")}
    assert len(named) >= 8
    assert {name for name in named if f"# TYPE {name} " not in exported(server)} == set()
