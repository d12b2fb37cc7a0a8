"""The command line: what it prints where, and how it exits."""

import json

import numpy as np
import pytest
import soundfile
from audiocraft_client import Client, Codes, Health, InvalidRequest, Overloaded
from audiocraft_client.cli import app
from fake_triton import RATE, FakeStreamingTransport, FakeTransport, clip, scores, tone
from typer.testing import CliRunner


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a command against a fake transport; files land in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def invoke(transport, *arguments):
        monkeypatch.setattr("audiocraft_client.cli.Client", lambda *_, **__: Client(transport=transport))
        return CliRunner().invoke(app, list(arguments))

    return invoke


def only_json(result):
    """stdout parsed whole: anything beside the one object would fail here."""
    return json.loads(result.stdout)


def test_music_joins_the_stream_and_prints_one_json_object(run, tmp_path):
    transport = FakeStreamingTransport(clip(tone(0.5)), clip(tone(0.25)), {})
    result = run(transport, "music", "piano", "-o", "m.flac", "--duration", "0.75", "--seed", "7", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert only_json(result) == {
        "output": "m.flac",
        "duration": 0.75,
        "sample_rate": RATE,
        "channels": 1,
        "seed": 7,
    }
    model, tensors, _ = transport.requests[0]
    assert (model, sorted(tensors)) == ("musicgen_stream", ["duration", "seed", "text"])
    assert soundfile.info(tmp_path / "m.flac").frames == 0.75 * RATE


def test_over_http_the_unary_model_serves(run, tmp_path):
    transport = FakeTransport(clip(tone()))
    result = run(transport, "sound", "rain")
    assert result.exit_code == 0
    assert transport.requests[0][0] == "audiogen"
    assert "seed 7" in result.stdout
    assert soundfile.info(tmp_path / "out.wav").samplerate == RATE


def test_encode_and_decode_meet_in_the_codes_file(run, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    answer = {
        "codes": np.ones((1, 4, 50), np.int32),
        "sample_rate": np.array([RATE], np.int32),
        "duration": np.array([1.0], np.float32),
    }
    result = run(FakeTransport(answer), "encode", "a.wav", "--json")
    assert only_json(result) == {
        "output": "codes.npz",
        "codebooks": 4,
        "frames": 50,
        "sample_rate": RATE,
        "duration": 1.0,
    }
    assert Codes.load(tmp_path / "codes.npz").codes.shape == (4, 50)
    decoded = FakeTransport({"waveform": tone(), "sample_rate": np.array([RATE])})
    result = run(decoded, "decode", "codes.npz", "-o", "b.wav", "--json")
    assert only_json(result)["seed"] is None
    assert decoded.requests[0][1]["codes"].data.shape == (1, 4, 50)


def test_analyze_prints_scores_and_says_when_they_mean_nothing(run, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    facts = only_json(run(FakeTransport(scores()), "analyze", "a.wav", "--json"))
    assert facts["mpd_score"] == 0.25
    assert facts["window_scores"] == [[0.25, 0.5, 0.75], [0.125, 0.5, 0.75]]
    table = run(FakeTransport(scores()), "analyze", "a.wav").stdout
    assert all(word in table for word in ("msstftd", "0.750", "0.125", "not calibrated"))


@pytest.mark.parametrize(("status", "code"), [("ready", 0), ("live", 1), ("unreachable", 1)])
def test_health_exits_with_0_only_when_ready(run, status, code):
    health = Health(status, "2.51.0", {"mpd": True}, None)
    result = run(FakeTransport(health=health), "health", "--json")
    assert result.exit_code == code
    assert only_json(result)["status"] == status


def test_health_shows_every_model(run):
    result = run(FakeTransport(health=Health("ready", "2.51.0", {"mpd": True, "msd": False})), "health")
    assert all(word in result.stdout for word in ("mpd", "yes", "msd", "no", "2.51.0"))


@pytest.mark.parametrize(
    ("arguments", "answer", "code", "words"),
    [
        (("music", "x"), InvalidRequest("duration=-3.0: must be\nmore"), 2, "duration=-3.0: must be more"),
        (("music", "x"), Overloaded("the queue is full"), 1, "the queue is full"),
        (("music", "x", "-o", "a.txt"), None, 2, "a.txt: the file name must end in"),
        (("music", "x", "-o", "no/a.wav"), None, 2, "the folder no does not exist"),
        (("music", "x", "--continuation", "no.wav"), None, 2, "no.wav: No such file"),
        (("encode", "no.wav"), None, 2, "no.wav: No such file"),
        (("encode", "."), None, 2, "Is a directory"),
        (("encode", "no.wav", "-o", "codes.json"), None, 2, "must end in .npz"),
        (("decode", "no.npz"), None, 2, "no.npz: No such file"),
        (("analyze", "no.wav"), None, 2, "no.wav: No such file"),
    ],
)
def test_an_error_is_one_line_on_stderr_with_its_exit_code(run, arguments, answer, code, words):
    result = run(FakeStreamingTransport(answer), *arguments, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_a_refused_request_leaves_no_file(run, tmp_path):
    run(FakeStreamingTransport(clip(tone()), Overloaded("gone")), "music", "x")
    assert list(tmp_path.iterdir()) == []


def test_server_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("AUDIOCRAFT_SERVER", "ftp://nowhere")
    result = CliRunner().invoke(app, ["health"])
    assert result.exit_code == 2
    assert "ftp://nowhere" in result.stderr


@pytest.mark.parametrize("server", ["127.0.0.1:9", "http://127.0.0.1:9"])
def test_an_unreachable_server_is_one_line_and_exit_code_1(server, tmp_path):
    result = CliRunner().invoke(app, ["--server", server, "music", "x", "-o", str(tmp_path / "a.wav")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    health = CliRunner().invoke(app, ["--server", server, "health", "--json"])
    assert (health.exit_code, json.loads(health.stdout)["status"]) == (1, "unreachable")
