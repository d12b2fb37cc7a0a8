"""The engine's metrics as the server exports them and as a real Prometheus reads them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from audiocraft_client import Client, InvalidRequest
from scraping import ended, exported, prometheus, settled, value, wait_until

from audiocraft_triton.serving.embedded.server import EmbeddedServer

MODELS = {"music": "musicgen", "sound": "audiogen"}


def _idle(server: EmbeddedServer) -> bool:
    states = ("audiocraft_active_slots", "audiocraft_waiting_requests")
    return all(value(server, name, model=model) == 0 for name in states for model in MODELS.values())


@pytest.mark.parametrize("kind", MODELS)
def test_frames_seconds_and_requests_are_counted_exactly_and_by_model(server: EmbeddedServer, kind: str) -> None:
    counters = [
        "audiocraft_frames_total",
        "audiocraft_audio_seconds_total",
        "audiocraft_time_to_first_audio_seconds_count",
    ]

    def read() -> dict[tuple[str, str], float]:
        return {(model, name): value(server, name, model=model) for model in MODELS.values() for name in counters}

    before = settled(read, seconds=1.0)  # earlier tests' values may not be published yet: that takes 0.25 s
    completed = {model: ended(server, "completed", model) for model in MODELS.values()}
    with Client(server.grpc_url) as client:
        generate = client.music if kind == "music" else client.sound
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda seed: generate("x", duration=1.5, seed=seed), range(4)))
    mine = MODELS[kind]
    wait_until(lambda: ended(server, "completed", mine) == completed[mine] + 4)
    wait_until(lambda: _idle(server))
    grown = {key: number - before[key] for key, number in read().items()}
    expected = dict(zip(counters, (4 * 75, 4 * 1.5, 4), strict=True))
    # Approximately, because seconds are added piece by piece.
    assert grown == pytest.approx({(model, name): expected[name] if model == mine else 0 for model, name in before})


def test_refused_requests_are_not_counted_as_failed(server: EmbeddedServer) -> None:
    before = settled(lambda: ended(server, "failed"), seconds=1.0)
    with Client(server.grpc_url) as client, pytest.raises(InvalidRequest, match="duration"):
        client.music("x", duration=-1)
    assert settled(lambda: ended(server, "failed"), seconds=1.0) == before


def test_every_step_duration_lies_between_the_outer_buckets(server: EmbeddedServer) -> None:
    with Client(server.grpc_url) as client:
        client.music("x", duration=3)
    name = "audiocraft_step_duration_seconds"
    wait_until(lambda: value(server, f"{name}_count", model="musicgen") > 10)
    steps = value(server, f"{name}_count", model="musicgen")
    assert 0 < value(server, f"{name}_sum", model="musicgen") / steps < 1
    assert value(server, f"{name}_bucket", model="musicgen", le="1") >= 0.9 * steps


def test_every_family_has_a_type_and_a_help_text(server: EmbeddedServer) -> None:
    text = exported(server)
    families = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE audiocraft_")}
    assert families == {
        "audiocraft_slots": "gauge",
        "audiocraft_active_slots": "gauge",
        "audiocraft_waiting_requests": "gauge",
        "audiocraft_diffusing_requests": "gauge",
        "audiocraft_frames_total": "counter",
        "audiocraft_audio_seconds_total": "counter",
        "audiocraft_requests_total": "counter",
        "audiocraft_step_duration_seconds": "histogram",
        "audiocraft_time_to_first_audio_seconds": "histogram",
    }
    assert all(f"# HELP {name} " in text for name in families)


@pytest.mark.needs_program("prometheus")
def test_a_real_prometheus_answers_an_operators_queries(server: EmbeddedServer, tmp_path: Path) -> None:
    with prometheus(server, tmp_path) as scraper, Client(server.grpc_url) as client:
        assert scraper.first_value('audiocraft_slots{model="musicgen"}') >= 1
        assert scraper.first_value('sum by (model) (audiocraft_waiting_requests{model="musicgen"})') == 0
        client.music("x", duration=2)
        for family in ("audiocraft_time_to_first_audio_seconds", "audiocraft_step_duration_seconds"):
            query = f'histogram_quantile(0.95, sum by (le) (rate({family}_bucket{{model="musicgen"}}[1m])))'
            assert 0 < scraper.first_value(query) <= 60
        assert scraper.first_value('rate(audiocraft_audio_seconds_total{model="musicgen"}[1m]) > 0') > 0
        finished = 'increase(audiocraft_requests_total{model="musicgen",outcome="completed"}[1m]) > 0'
        assert scraper.first_value(finished) > 0
