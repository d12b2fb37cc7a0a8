"""Publishes an engine's metrics as Triton metrics, in addition to the server's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import triton_python_backend_utils as pb_utils

from audiocraft_triton.engine.scheduling.metrics import EngineMetrics, Snapshot

OUTCOMES = ("completed", "cancelled", "expired", "rejected", "failed")
STEP_SECONDS = [0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
FIRST_AUDIO_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0]
STEPS_PER_INTERVAL = 25


class MetricsPublisher:
    """A thread that writes an engine's metrics to the server a few times per second.

    Each value is a message to the server process. Idle engines send none, and the threads that serve requests never
    send any.

    Args:
        source: metrics of the engine.
        model: the model's public name.
        device: the engine's device; this label distinguishes instances on several GPUs.
    """

    INTERVAL = 0.25

    def __init__(self, source: EngineMetrics, model: str, device: str) -> None:
        self._source = source
        self._labels = {"model": model, "device": device}
        # Counts from the warm-up are not published; the gauges start at 0, so that their first values are.
        self._published = replace(source.snapshot(), slots=0, active=0, waiting=0)
        self._families: list[Any] = []  # Triton deletes metrics together with their family
        self._gauges = {
            "slots": self._gauge("audiocraft_slots", "Requests that can be generated at once"),
            "active": self._gauge("audiocraft_active_slots", "Requests that are being generated"),
            "waiting": self._gauge("audiocraft_waiting_requests", "Requests that wait for a slot"),
        }
        self._counters = {
            "frames": self._counter("audiocraft_frames_total", "Token frames generated"),
            "audio_seconds": self._counter("audiocraft_audio_seconds_total", "Seconds of audio generated"),
        }
        outcomes = self._family("audiocraft_requests_total", "Generation requests by how they ended", "COUNTER")
        for outcome in OUTCOMES:
            self._counters[outcome] = outcomes.Metric(labels={**self._labels, "outcome": outcome})
        self._step_seconds = self._histogram(
            "audiocraft_step_duration_seconds",
            f"Duration of a generation step for all slots together; a sample of at most {STEPS_PER_INTERVAL} steps "
            f"every {self.INTERVAL:g} seconds, evenly spaced, so its count is not the number of steps",
            STEP_SECONDS,
        )
        self._first_audio_seconds = self._histogram(
            "audiocraft_time_to_first_audio_seconds",
            "Time from a request's admission to its first chunk of audio",
            FIRST_AUDIO_SECONDS,
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Publishes the last values, ends the thread, and makes the server delete the metrics."""
        self._closing.set()
        self._thread.join()
        # A family's destructor sends a message to the server. If it runs only at the end of the process, the channel is
        # gone and the process dies of a segmentation fault.
        del self._gauges, self._counters, self._step_seconds, self._first_audio_seconds
        self._families.clear()

    def _run(self) -> None:
        failed = False
        closing = False
        while not closing:
            closing = self._closing.wait(self.INTERVAL)
            try:
                self._publish(self._source.snapshot())
            except Exception as error:  # requests are served without metrics, too
                if not failed:
                    pb_utils.Logger.log_warn(f"metrics were not published (logged only once): {error}")
                failed = True

    def _publish(self, snapshot: Snapshot) -> None:
        # In this order, so that a reader that sees a request counted as ended also sees its first audio and its frames,
        # and a reader that sees no active slot sees all of them.
        for seconds in thin(snapshot.step_seconds, STEPS_PER_INTERVAL):
            self._step_seconds.observe(seconds)
        for seconds in snapshot.first_audio_seconds:
            self._first_audio_seconds.observe(seconds)
        for name, metric in {**self._counters, **self._gauges}.items():
            # Gauges, too, are incremented by their difference: in 24.10 `set` holds the interpreter lock while it waits
            # for the server's answer, and so blocks the engine's thread; `increment` and `observe` release it.
            difference = getattr(snapshot, name) - getattr(self._published, name)
            if difference:
                metric.increment(difference)
                setattr(self._published, name, getattr(snapshot, name))

    def _family(self, name: str, description: str, kind: str) -> Any:
        family = pb_utils.MetricFamily(name=name, description=description, kind=getattr(pb_utils.MetricFamily, kind))
        self._families.append(family)
        return family

    def _gauge(self, name: str, description: str) -> Any:
        metric = self._family(name, description, "GAUGE").Metric(labels=self._labels)
        metric.set(0)  # after its process died, a restarted model finds the old value
        return metric

    def _counter(self, name: str, description: str) -> Any:
        return self._family(name, description, "COUNTER").Metric(labels=self._labels)

    def _histogram(self, name: str, description: str, buckets: list[float]) -> Any:
        return self._family(name, description, "HISTOGRAM").Metric(labels=self._labels, buckets=buckets)


class InFlightGauge:
    """Counts the requests that a slow model without an engine is answering, so that a drain waits for them.

    Args:
        name, description: name and help text of the metric.
        model: the model's public name.
    """

    def __init__(self, name: str, description: str, model: str) -> None:
        self._family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.GAUGE)
        self._metric = self._family.Metric(labels={"model": model})
        self._metric.set(0)  # a restarted process finds the old value

    @contextmanager
    def counting(self, requests: int) -> Iterator[None]:
        """Counts this number of requests until the block ends."""
        self._metric.increment(requests)
        try:
            yield
        finally:
            self._metric.increment(-requests)


def thin(values: list[float], most: int) -> list[float]:
    """Returns at most `most` of the values, evenly spaced."""
    if len(values) <= most:
        return values
    return [values[index * len(values) // most] for index in range(most)]
