"""A HorizontalPodAutoscaler on a metric of type Pods, as Kubernetes computes it, with the chart's behaviour."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from capacity.fleet import Fleet, Pod


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """The rules in the chart's values.yaml; times in seconds.

    Attributes:
        sync: interval at which Prometheus scrapes and the HPA decides.
        pod_start: time until a new pod takes requests.
    """

    minimum: int = 1
    maximum: int = 40
    target: float = 0.7
    tolerance: float = 0.1
    sync: float = 15.0
    pod_start: float = 90.0
    up_pods: int = 4
    up_period: float = 60.0
    down_window: float = 600.0
    down_pods: int = 1
    down_period: float = 120.0


@dataclass(slots=True)
class Autoscaler:
    """Adds pods to a fleet and removes them.

    Args:
        signal: returns one pod's signal since its last call.
        history: (time, number of existing pods, mean signal of the serving pods).
    """

    fleet: Fleet
    rules: ScalingRules
    signal: Callable[[Pod, float], float]
    history: list[tuple[float, int, float]] = field(default_factory=list)
    _starting: int = 0
    _wanted: list[tuple[float, int]] = field(default_factory=list)  # within the down window
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def start(self) -> None:
        """Decides every `sync` seconds from now on."""
        self._wanted.append((self.fleet.now, len(self.fleet.pods)))
        self._decide_later()

    def _decide_later(self) -> None:
        self.fleet.at(self.fleet.now + self.rules.sync, self._decide)

    def _decide(self) -> None:
        now = self.fleet.now
        for pod in self.fleet.pods:
            pod.advance(now)
        signals = [self.signal(pod, self.rules.sync) for pod in self.fleet.pods]
        existing = len(signals) + self._starting
        self.history.append((now, existing, sum(signals) / len(signals)))
        self._scale(existing, min(max(self._desired(signals, existing), self.rules.minimum), self.rules.maximum))
        self._decide_later()

    def _desired(self, signals: list[float], existing: int) -> int:
        """Applies the HPA's formula. A starting pod has no metric: it counts as idle on the way up, else on target."""
        ratio = sum(signals) / len(signals) / self.rules.target
        if abs(ratio - 1) <= self.rules.tolerance:
            return existing
        assumed = 0.0 if ratio > 1 else self.rules.target
        with_starting = (sum(signals) + assumed * self._starting) / existing / self.rules.target
        if abs(with_starting - 1) <= self.rules.tolerance or (ratio > 1) != (with_starting > 1):
            return existing
        return math.ceil(with_starting * existing - 1e-9)

    def _scale(self, existing: int, desired: int) -> None:
        now, rules = self.fleet.now, self.rules
        self._wanted = [(at, pods) for at, pods in self._wanted if at > now - rules.down_window] + [(now, desired)]
        self._changes = [(at, pods) for at, pods in self._changes if at > now - max(rules.up_period, rules.down_period)]
        if desired > existing:
            before = existing - sum(pods for at, pods in self._changes if pods > 0 and at > now - rules.up_period)
            added = min(desired, max(before + rules.up_pods, 2 * before)) - existing
            if added > 0:
                self._changes.append((now, added))
                self._starting += added
                for _ in range(added):
                    self.fleet.at(now + rules.pod_start, self._serve)
            return
        removed_lately = -sum(pods for at, pods in self._changes if pods < 0 and at > now - rules.down_period)
        wanted = max(pods for _, pods in self._wanted)
        removed = min(existing - wanted, rules.down_pods - removed_lately, len(self.fleet.pods) - 1)
        if removed > 0:
            self._changes.append((now, -removed))
            for _ in range(removed):
                self.fleet.remove_pod()

    def _serve(self) -> None:
        self._starting -= 1
        self.fleet.add_pod()


def slot_pressure(pod: Pod, _seconds: float) -> float:
    """Returns (running + waiting) / slots at the moment of the scrape."""
    return pod.pressure


class GpuUtilisation:
    """The share of the time since the last scrape in which the GPU ran at least one kernel, as NVML reports it."""

    def __init__(self) -> None:
        self._busy: dict[Pod, float] = {}

    def __call__(self, pod: Pod, seconds: float) -> float:
        before = self._busy.get(pod, 0.0)
        self._busy[pod] = pod.busy
        return min(1.0, (pod.busy - before) / seconds)
