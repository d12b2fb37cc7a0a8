"""An engine's metrics for operators: the engine counts, and a publisher takes snapshots. Independent of Prometheus."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class Snapshot:
    """Totals since the engine started, the current state, and the observations since the previous snapshot.

    Attributes:
        slots: requests that can run at once.
        active: requests that occupy a slot.
        waiting: requests that wait for a slot.
        frames: token frames generated; prompts don't count.
        audio_seconds: duration of those frames.
        completed, cancelled, expired, rejected, failed: requests by outcome; rejected ones never waited.
        step_seconds: duration of each step, in order.
        first_audio_seconds: time from submission to the first chunk, one value per request.
    """

    slots: int = 0
    active: int = 0
    waiting: int = 0
    frames: int = 0
    audio_seconds: float = 0.0
    completed: int = 0
    cancelled: int = 0
    expired: int = 0
    rejected: int = 0
    failed: int = 0
    step_seconds: list[float] = field(default_factory=list)
    first_audio_seconds: list[float] = field(default_factory=list)


class EngineMetrics:
    """Thread-safe metrics of one engine."""

    MAX_OBSERVATIONS = 10_000
    """Most observations kept until the next snapshot; the oldest are dropped first."""

    def __init__(self, slots: int, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._lock = threading.Lock()
        self._now = Snapshot(slots=slots)

    def occupancy(self, active: int, waiting: int) -> None:
        """Sets the number of requests that run and that wait now."""
        with self._lock:
            self._now.active, self._now.waiting = active, waiting

    def step(self, seconds: float, frames: int) -> None:
        """Records one step for all slots, which took `seconds` and completed `frames` new frames in total."""
        with self._lock:
            self._now.frames += frames
            self._now.audio_seconds = self._now.frames / self._frame_rate
            _keep(self._now.step_seconds, seconds, self.MAX_OBSERVATIONS)

    def first_audio(self, seconds: float) -> None:
        """Records that a request's first chunk was sent `seconds` after its submission."""
        with self._lock:
            _keep(self._now.first_audio_seconds, seconds, self.MAX_OBSERVATIONS)

    def ended(self, how: str) -> None:
        """Counts a request that ended: "completed", "cancelled", "expired", "rejected" or "failed"."""
        with self._lock:
            setattr(self._now, how, getattr(self._now, how) + 1)

    def snapshot(self) -> Snapshot:
        """Returns all metrics up to now; observations are moved to the snapshot, totals stay."""
        with self._lock:
            taken = self._now
            self._now = replace(taken, step_seconds=[], first_audio_seconds=[])
        return taken


def _keep(observations: list[float], value: float, most: int) -> None:
    if len(observations) >= most:
        del observations[: most // 2]
    observations.append(value)
