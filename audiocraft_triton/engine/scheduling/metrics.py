"""What an operator asks of an engine: the engine counts, whoever publishes takes snapshots. No Prometheus in it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class Snapshot:
    """Totals since the engine started, the state now, and what was observed since the snapshot before.

    Attributes:
        slots: requests that can run at once.
        active: requests that occupy a slot.
        waiting: requests that wait for one.
        frames: token frames generated; prompts don't count.
        audio_seconds: the same as sound.
        completed, cancelled, expired, rejected, failed: requests by how they ended; rejected ones never waited.
        step_seconds: duration of each step, in order.
        first_audio_seconds: from submission to the first chunk, one a request.
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
    """Thread-safe counts of one engine."""

    MAX_OBSERVATIONS = 10_000
    """Observations kept while nobody takes a snapshot; the oldest go first."""

    def __init__(self, slots: int, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._lock = threading.Lock()
        self._now = Snapshot(slots=slots)

    def occupancy(self, active: int, waiting: int) -> None:
        """How many requests run and wait now."""
        with self._lock:
            self._now.active, self._now.waiting = active, waiting

    def step(self, seconds: float, frames: int) -> None:
        """One step for all slots, which took `seconds` and completed `frames` new frames over all of them."""
        with self._lock:
            self._now.frames += frames
            self._now.audio_seconds = self._now.frames / self._frame_rate
            _keep(self._now.step_seconds, seconds, self.MAX_OBSERVATIONS)

    def first_audio(self, seconds: float) -> None:
        """A request's first chunk left, `seconds` after its submission."""
        with self._lock:
            _keep(self._now.first_audio_seconds, seconds, self.MAX_OBSERVATIONS)

    def ended(self, how: str) -> None:
        """A request ended: "completed", "cancelled", "expired", "rejected" or "failed"."""
        with self._lock:
            setattr(self._now, how, getattr(self._now, how) + 1)

    def snapshot(self) -> Snapshot:
        """Everything up to now; the observations are handed over, the totals stay."""
        with self._lock:
            taken = self._now
            self._now = replace(taken, step_seconds=[], first_audio_seconds=[])
        return taken


def _keep(observations: list[float], value: float, most: int) -> None:
    if len(observations) >= most:
        del observations[: most // 2]
    observations.append(value)
