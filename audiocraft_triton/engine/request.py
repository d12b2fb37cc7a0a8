"""What one caller asked for, checked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.parameters import BY_NAME, MAX_SEED, MAX_TIMEOUT


def _default(name: str) -> Any:
    return BY_NAME[name].default


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What one caller asked for. Bounds are checked here, once; those of the checkpoint by the engine.

    Attributes:
        text: prompt; empty means unconditional.
        duration: seconds of audio, continuation included; 0.1 to 300.
        temperature: 0 means greedy.
        top_k: keep the k likeliest tokens; 0 means all. At most the codebook's size, which also bounds the default.
        top_p: nucleus sampling when above 0, and then instead of top_k.
        cfg_coef: classifier-free guidance; 1 means none.
        seed: decides every draw; drawn here when None.
        continuation: float32 [channels, samples] at the model's rate, which the result begins with.
        melody: float32 [channels, samples] at the model's rate.
        decoder: what turns tokens into sound, "encodec" or "multiband_diffusion".
        chunk_seconds: length of a streamed chunk.
        timeout: seconds from submission after which the request is given up; None: never. Triton's own request
            parameter `timeout`, so none of the inputs above.

    Raises:
        InvalidRequest: names the field, its value and its bound.
    """

    text: str = ""
    duration: float = field(default=_default("duration"))
    temperature: float = field(default=_default("temperature"))
    top_k: int | None = None
    top_p: float = field(default=_default("top_p"))
    cfg_coef: float = field(default=_default("cfg_coef"))
    seed: int | None = None
    continuation: NDArray[np.float32] | None = None
    melody: NDArray[np.float32] | None = None
    decoder: str = field(default=_default("decoder"))
    chunk_seconds: float = field(default=_default("chunk_seconds"))
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(MAX_SEED + 1))
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in BY_NAME and item.name not in ("continuation", "melody") and value is not None:
                BY_NAME[item.name].check(value)
        if self.timeout is not None and not 0 < self.timeout <= MAX_TIMEOUT:
            raise InvalidRequest("timeout", self.timeout, f"must be above 0 and at most {MAX_TIMEOUT:,} seconds")

    def top_k_of(self, card: int) -> int:
        """`top_k` for codebooks of `card` tokens: as given, or the default, which they bound; 0 means all."""
        return min(int(_default("top_k")), card) if self.top_k is None else self.top_k
