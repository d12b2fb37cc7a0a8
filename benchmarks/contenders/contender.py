"""What every contender is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from training.architecture import Shape

# All words are in the seeded checkpoints' vocabulary.
_PROMPTS = (
    "calm solo piano", "fast techno beat with deep bass", "happy folk guitar and violin", "slow dark ambient synth",
    "funk drums and electric bass", "classical strings in a minor key", "energetic rock band", "soft flute lullaby",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """What contenders are measured on.

    Attributes:
        checkpoint: folder in audiocraft's layout.
        shape: its sizes.
        device: "cpu" or "cuda".
        dtype: what to compute in, "float32", "bfloat16" or "float16"; None: each contender's own choice.
        seed: of the first request; the others' follow it.
    """

    checkpoint: Path
    shape: Shape
    device: torch.device
    dtype: str | None
    seed: int

    def prompts(self, requests: int) -> list[str]:
        """A text for each request."""
        return [_PROMPTS[index % len(_PROMPTS)] for index in range(requests)]


@dataclass(frozen=True, slots=True)
class Clips:
    """What one run made.

    Attributes:
        waveforms: float32 [samples] of each request.
        sample_rate: Hz.
        wall_seconds: from the requests' common start until the last one's samples are in this process's memory.
        step_seconds: of one decoding step, over all requests at once; None where it was not observed.
    """

    waveforms: list[NDArray[np.float32]]
    sample_rate: int
    wall_seconds: float
    step_seconds: float | None


class Contender(Protocol):
    """Makes clips; whoever opened it closes it."""

    @property
    def description(self) -> str:
        """How it runs: precision, slots, version."""

    @property
    def versions(self) -> dict[str, str]:
        """Of the software that is this contender's own."""

    def generate(self, requests: int, seconds: float) -> Clips:
        """That many requests at once, each for a whole clip of `seconds`."""


@runtime_checkable
class StreamingContender(Contender, Protocol):
    """Hands out audio while it is still generating."""

    def first_audio(self, requests: int, seconds: float, chunk_seconds: float) -> list[float]:
        """That many streams at once, each read to its end: seconds from asking to the first chunk, one a stream."""


def precision(job: Job) -> str:
    """What the engine and transformers compute in: as asked, else float16 on a GPU and float32 on a CPU."""
    return job.dtype or ("float16" if job.device.type == "cuda" else "float32")


def finish(device: torch.device) -> None:
    """Waits for what was launched on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
