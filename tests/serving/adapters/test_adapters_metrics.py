"""The publisher writes exact totals and thinned observations, and writes nothing while nothing happens."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import pytest

from audiocraft_triton.engine.scheduling.metrics import EngineMetrics

if TYPE_CHECKING:
    from conftest import FakeMetric, FakeTriton


@pytest.fixture
def source() -> EngineMetrics:
    """Metrics of an engine that has served one warm-up request."""
    metrics = EngineMetrics(slots=4, frame_rate=50)
    metrics.step(2.0, frames=5)
    metrics.first_audio(2.0)
    metrics.ended("completed")
    return metrics


def _only(triton: FakeTriton, family: str, **labels: str) -> FakeMetric:
    (metric,) = [row for row in triton.families[family].metrics if labels.items() <= row.labels.items()]
    return metric


def test_totals_and_the_state_are_published_without_the_warm_up_request(
    triton: FakeTriton, source: EngineMetrics
) -> None:
    from audiocraft_triton.serving.adapters.metrics import MetricsPublisher

    publisher = MetricsPublisher(source, "musicgen", "cpu")
    source.occupancy(active=3, waiting=2)
    source.step(0.1, frames=50)
    source.first_audio(0.3)
    source.ended("cancelled")
    source.occupancy(active=1, waiting=0)
    publisher.close()
    assert _only(triton, "audiocraft_slots", model="musicgen", device="cpu").value == 4
    assert _only(triton, "audiocraft_active_slots").value == 1
    assert _only(triton, "audiocraft_waiting_requests").value == 0
    assert _only(triton, "audiocraft_frames_total").value == 50
    assert _only(triton, "audiocraft_audio_seconds_total").value == pytest.approx(1.0)
    assert _only(triton, "audiocraft_requests_total", outcome="cancelled").value == 1
    assert _only(triton, "audiocraft_requests_total", outcome="completed").value == 0
    assert _only(triton, "audiocraft_step_duration_seconds").observed == [0.1]
    assert _only(triton, "audiocraft_time_to_first_audio_seconds").observed == [0.3]


def test_gauges_go_down_again(triton: FakeTriton, source: EngineMetrics) -> None:
    from audiocraft_triton.serving.adapters.metrics import MetricsPublisher

    publisher = MetricsPublisher(source, "musicgen", "cpu")
    for active in (3, 1, 0):
        source.occupancy(active, waiting=0)
        publisher._publish(source.snapshot())
        assert _only(triton, "audiocraft_active_slots").value == active
    publisher.close()


def test_steps_are_thinned_evenly_and_their_description_says_so(triton: FakeTriton, source: EngineMetrics) -> None:
    from audiocraft_triton.serving.adapters.metrics import STEPS_PER_INTERVAL, MetricsPublisher

    publisher = MetricsPublisher(source, "musicgen", "cpu")
    for index in range(1000):
        source.step(float(index), frames=1)
    publisher.close()
    family = triton.families["audiocraft_step_duration_seconds"]
    assert family.metrics[0].observed == [float(index) for index in range(0, 1000, 40)]
    assert f"at most {STEPS_PER_INTERVAL} steps" in family.description


def test_buckets_rise_and_span_the_observed_values(triton: FakeTriton, source: EngineMetrics) -> None:
    from audiocraft_triton.serving.adapters.metrics import MetricsPublisher

    MetricsPublisher(source, "musicgen", "cpu").close()
    for name, low, high in (("step_duration", 0.0005, 1.0), ("time_to_first_audio", 0.005, 60.0)):
        buckets = _only(triton, f"audiocraft_{name}_seconds").buckets
        assert buckets is not None
        assert buckets == sorted(set(buckets))
        assert (buckets[0], buckets[-1]) == (low, high)


def test_no_metric_is_left_for_the_end_of_the_process(triton: FakeTriton, source: EngineMetrics) -> None:
    """There its destructor would crash, because the stub through which it reaches the server is gone."""
    from audiocraft_triton.serving.adapters.metrics import MetricsPublisher

    publisher = MetricsPublisher(source, "musicgen", "cpu")
    families = [weakref.ref(triton.families.pop(name)) for name in list(triton.families)]
    assert len(families) == 8
    publisher.close()
    assert [family() for family in families] == [None] * 8


def test_a_server_that_takes_no_metrics_is_logged_once_and_nothing_is_lost(
    triton: FakeTriton, source: EngineMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiocraft_triton.serving.adapters.metrics import MetricsPublisher

    monkeypatch.setattr(MetricsPublisher, "INTERVAL", 0.01)
    publisher = MetricsPublisher(source, "musicgen", "cpu")
    metric = _only(triton, "audiocraft_frames_total")
    works, metric.increment = metric.increment, lambda _value: 1 / 0  # type: ignore[assignment, method-assign]
    source.step(0.1, frames=50)
    while not triton.warnings:
        publisher._closing.wait(0.01)
    publisher._closing.wait(0.05)
    metric.increment = works  # type: ignore[method-assign]
    publisher.close()
    assert len(triton.warnings) == 1
    assert metric.value == 50


def test_requests_in_flight_are_counted_until_they_are_answered_or_fail(triton: FakeTriton) -> None:
    from audiocraft_triton.serving.adapters.metrics import InFlightGauge

    gauge = InFlightGauge("audiocraft_diffusing_requests", "decoded by diffusion", "multiband_diffusion")
    counted = _only(triton, "audiocraft_diffusing_requests", model="multiband_diffusion")
    with gauge.counting(3), gauge.counting(1):
        assert counted.value == 4
    with pytest.raises(RuntimeError), gauge.counting(2):
        raise RuntimeError("out of memory")
    assert counted.value == 0
