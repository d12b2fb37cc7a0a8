"""The interface of every contender: the job, and the clips that it returns."""

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
    """The model and settings that contenders are measured with.

    Attributes:
        checkpoint: folder in audiocraft's layout.
        shape: its sizes.
        device: "cpu" or "cuda".
        dtype: precision of the computation, "float32", "bfloat16" or "float16"; None: each contender's own choice.
        seed: seed of the first request; the others' seeds follow it.
    """

    checkpoint: Path
    shape: Shape
    device: torch.device
    dtype: str | None
    seed: int

    def prompts(self, requests: int) -> list[str]:
        """Returns a text for each request."""
        return [_PROMPTS[index % len(_PROMPTS)] for index in range(requests)]


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips of one run.

    Attributes:
        waveforms: float32 [samples] of each request.
        sample_rate: Hz.
        wall_seconds: from the requests' common start until the last one's samples are in this process's memory.
        step_seconds: duration of one decoding step for all requests together; None if it was not observed.
    """

    waveforms: list[NDArray[np.float32]]
    sample_rate: int
    wall_seconds: float
    step_seconds: float | None


class Contender(Protocol):
    """Makes clips; its opener also closes it."""

    @property
    def description(self) -> str:
        """How the contender runs: precision, slots, version."""

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the software that only this contender uses."""

    def generate(self, requests: int, seconds: float) -> Clips:
        """Makes `requests` concurrent requests, each for a whole clip of `seconds`."""


@runtime_checkable
class StreamingContender(Contender, Protocol):
    """Returns audio while it is still generating."""

    def first_audio(self, requests: int, seconds: float, chunk_seconds: float) -> list[float]:
        """Reads `requests` concurrent streams to their ends; returns each one's seconds from request to first chunk."""


def precision(job: Job) -> str:
    """Returns the precision of the engine and transformers: the job's, else float16 on a GPU and float32 on a CPU."""
    return job.dtype or ("float16" if job.device.type == "cuda" else "float32")


def finish(device: torch.device) -> None:
    """Waits for all work launched on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
