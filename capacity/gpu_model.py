"""The capacity of one pod on one GPU: measured for an H100, computed for other GPUs.

The benchmark through Triton times a frame (1/50 s of audio for all running requests): wall time over frames, including
EnCodec. Two effects are computed, not measured:

- Clips longer than the benchmark's 10 s read more keys and values. The model attributes all the time that a step takes
  longer with more slots to that reading, and scales it with the mean position: a cautious assumption.
- Another GPU is slower in proportion to its memory bandwidth. Cautiously, the whole step is. At best, only the part
  that surely moves memory (weights, keys and values) is: a small model's step is mostly kernel launches, which don't
  depend on bandwidth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from audiocraft_triton.engine.lm.memory import fitting_slots, slot_bytes
from capacity.fleet import PodModel

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
FRAME_RATE = 50.0
HALF = 2
"""Size of a float16 in bytes."""
GIB, GB = 2**30, 1e9


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The decoder of a checkpoint. `columns`: length of a window, its frames and the delay pattern's 3."""

    layers: int
    width: int
    columns: int = 30 * 50 + 3

    @property
    def slot_bytes(self) -> int:
        """Returns the size of one slot's caches: each layer's keys and values, self- and cross-attention, both rows."""
        return slot_bytes(self.layers, self.width, self.columns, itemsize=HALF)

    @property
    def weight_bytes(self) -> int:
        """Returns the transformer's size: 4 attention, 4 cross-attention, 8 feed-forward width² matrices, codebooks."""
        return (16 * self.layers * self.width**2 + 8 * 2048 * self.width) * HALF

    def slots(self, gpu: Gpu) -> int:
        """Returns the number of slots that the engine chooses on a GPU that it has for itself."""
        free = gpu.memory_gib * GIB - self.weight_bytes
        return fitting_slots(free, self.slot_bytes) if free > self.slot_bytes else 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A class of GPUs, from its maker's data sheet: usable memory, and bandwidth in GB/s."""

    name: str
    memory_gib: float
    bandwidth: float


MODELS = {
    "small": ModelShape(24, 1024),
    "medium": ModelShape(48, 1536),
    "large": ModelShape(48, 2048),
    "audiogen-medium": ModelShape(48, 1536, columns=10 * 50 + 3),
}
H100 = Gpu("H100 80 GB", 79.2, 3350)
GPUS = (
    Gpu("L4 24 GB", 22.0, 300),
    Gpu("A10 24 GB", 22.0, 600),
    Gpu("A100 40 GB", 39.4, 1555),
    Gpu("A100 80 GB", 79.2, 2039),
    H100,
    Gpu("H200 141 GB", 139.8, 4800),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of the benchmark of musicgen-small on one H100, through Triton.

    Attributes:
        frame_seconds: number of concurrent requests -> seconds that one frame of all of them takes.
        slot_seconds: cost of one more slot in the engine's step, at the benchmark's mean position.
        mean_position: frames that a request of the benchmark has finished, on average.
        overhead_seconds: part of one stream's time to first audio that is not steps.
        admission_seconds: delay that each of several simultaneous streams adds to the next.
    """

    frame_seconds: dict[int, float]
    slot_seconds: float
    mean_position: float
    overhead_seconds: float
    admission_seconds: float

    @classmethod
    def of(cls, path: Path = RESULTS / "h100-small.json") -> Measured:
        """Reads a result file."""
        content = json.loads(path.read_text())
        seconds, chunk = content["settings"]["seconds"], content["settings"]["chunk_seconds"]
        rows = {(row["contender"], row["requests"]): row for row in content["results"]}
        frame = {
            requests: row["throughput"]["wall_seconds"] / (seconds * FRAME_RATE)
            for (name, requests), row in rows.items()
            if name == "triton" and row["throughput"]
        }
        steps = {n: rows["engine", n]["throughput"]["step_ms"] / 1000 for n in frame}
        most = max(frame)
        waits = {
            n: row["first_audio"]["p95"] for (name, n), row in rows.items() if name == "triton" and row["first_audio"]
        }
        many, first = max(waits), first_frames(chunk)
        overhead = waits[1] - first * interpolate(frame, 1)
        admission = (waits[many] - overhead - first * interpolate(frame, many)) / (many - 1)
        slot = (steps[most] - steps[1]) / (most - 1)
        return cls(frame, slot, seconds * FRAME_RATE / 2, overhead - admission, admission)

    def frame(self, running: int, mean_position: float) -> float:
        """Returns the seconds that one frame of `running` requests takes at their mean position."""
        longer = self.slot_seconds * (mean_position / self.mean_position - 1)
        return interpolate(self.frame_seconds, running) + max(0.0, longer) * running


def first_frames(chunk_seconds: float) -> float:
    """Returns the frames until the first chunk is complete: its own, and the delay pattern's 3."""
    return chunk_seconds * FRAME_RATE + 3


def interpolate(points: dict[int, float], at: int) -> float:
    """Interpolates linearly between the points; extends the last line beyond the last point."""
    known = sorted(points)
    upper = next((n for n in known[1:] if n >= at), known[-1])
    lower = known[known.index(upper) - 1]
    return points[lower] + (points[upper] - points[lower]) * (at - lower) / (upper - lower)


def pod_model(
    measured: Measured,
    gpu: Gpu,
    *,
    mean_position: float,
    max_waiting: int,
    at_best: bool = False,
) -> PodModel:
    """Models a pod with musicgen-small on a GPU. The module explains `at_best`, which changes nothing for an H100."""
    shape = MODELS["small"]
    slots = shape.slots(gpu)
    slower = H100.bandwidth / gpu.bandwidth
    memory = shape.weight_bytes / (H100.bandwidth * GB)

    def frame(running: int) -> float:
        whole = measured.frame(running, mean_position)
        if not at_best:
            return whole * slower
        moved = min(whole, memory + whole - measured.frame(1, mean_position))
        return whole + moved * (slower - 1)

    overheads = 1.0 if at_best else slower
    return PodModel(
        slots,
        max_waiting,
        (0.0, *(frame(running) for running in range(1, slots + 1))),
        measured.admission_seconds * overheads,
        measured.overhead_seconds * overheads,
    )
