"""A stand-in for Triton's Python backend, for testing adapters outside it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest


class FakeMetric:
    """Remembers the values written to it."""

    def __init__(self, labels: dict[str, str], buckets: list[float] | None = None) -> None:
        self.labels = labels
        self.buckets = buckets
        self.value = 0.0
        self.observed: list[float] = []

    def set(self, value: float) -> None:
        self.value = value

    def increment(self, value: float) -> None:
        self.value += value

    def observe(self, value: float) -> None:
        self.observed.append(value)


class FakeFamily:
    """Remembers its metrics, and registers itself under its name."""

    COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
    known: dict[str, FakeFamily]

    def __init__(self, name: str, description: str, kind: str) -> None:
        self.description = description
        self.kind = kind
        self.metrics: list[FakeMetric] = []
        self.known[name] = self

    def Metric(self, **arguments: object) -> FakeMetric:  # noqa: N802 - Triton's name
        self.metrics.append(FakeMetric(**arguments))  # type: ignore[arg-type]
        return self.metrics[-1]


class FakeTriton(ModuleType):
    """The part of `triton_python_backend_utils` that the adapters use here."""

    def __init__(self) -> None:
        super().__init__("triton_python_backend_utils")
        self.warnings: list[str] = []
        self.families: dict[str, FakeFamily] = {}
        self.Logger = SimpleNamespace(log_warn=self.warnings.append)
        self.MetricFamily = type("MetricFamily", (FakeFamily,), {"known": self.families})


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> FakeTriton:
    """A stand-in that adapters imported in the test see."""
    fake = FakeTriton()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    for name in [name for name in sys.modules if name.startswith("audiocraft_triton.serving.adapters")]:
        monkeypatch.delitem(sys.modules, name)
    return fake
