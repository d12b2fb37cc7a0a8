"""The gateway's metrics, a registry for each app."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

# A second series for each counter, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

# From a health check to five minutes of sound on a busy machine.
_DURATIONS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_FIRST_BYTES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """Counts and times; labels are routes and reasons that the code names, never what a caller wrote."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "audiocraft_gateway_requests_total",
            "Requests by route and status; 499: the client disconnected; 500: an answer broken off, too.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.duration = Histogram(
            "audiocraft_gateway_request_duration_seconds",
            "From the request's headers to the end of the answer, a stream's too.",
            ("route",),
            buckets=_DURATIONS,
            registry=self._registry,
        )
        self.first_byte = Histogram(
            "audiocraft_gateway_time_to_first_byte_seconds",
            "From the request's headers to the first byte of sound, of generations.",
            ("route",),
            buckets=_FIRST_BYTES,
            registry=self._registry,
        )
        self.in_progress = Gauge(
            "audiocraft_gateway_requests_in_progress",
            "Requests being answered.",
            ("route",),
            registry=self._registry,
        )
        self.active_streams = Gauge(
            "audiocraft_gateway_active_streams",
            "Streams whose sound is on its way.",
            registry=self._registry,
        )
        self.rejected = Counter(
            "audiocraft_gateway_rejected_total",
            "Requests that a limit refused: body, rate, streams or key here, busy: gateway or Triton is full.",
            ("reason",),
            registry=self._registry,
        )
        for reason in ("body", "rate", "streams", "key", "busy"):
            self.rejected.labels(reason)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
