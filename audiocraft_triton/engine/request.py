"""What one caller asked for, checked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import MAX_SEED, MAX_TIMEOUT
from audiocraft_triton.contract.parameters import BY_NAME, PARAMETERS


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What one caller asked for. Bounds are checked here, once; those of the checkpoint by the engine.

    The fields between the marks are the parameters of the contract. Here an audio file is its waveform, float32
    [channels, samples] at the model's rate; an empty text means no condition, and the seed is drawn when it is None.

    Attributes:
        timeout: seconds from submission after which the request is given up; None: never. Triton's own request
            parameter `timeout`, so none of the inputs above.

    Raises:
        InvalidRequest: names the field, its value and its bound.
    """

    # generated: fields
    # What to generate, in words; an empty text leaves it to the model (up to 2,000 characters).
    text: str = ""
    # Length of the clip, including a continuation (0.1 to 300 seconds).
    duration: float = 10.0
    # Variety: 0 always takes the likeliest token, higher values surprise more (0 to 10).
    temperature: float = 1.0
    # How closely to follow the text (classifier-free guidance); 1 means no guidance (0 to 20).
    cfg_coef: float = 3.0
    # Sample among the k likeliest tokens; 0 means all (0 to the codebook size).
    top_k: int | None = None
    # Sample among the likeliest tokens of this total probability; above 0 it replaces top_k (0 to 1).
    top_p: float = 0.0
    # The same request with the same seed gives the same clip; every answer names its seed (0 to 2⁶³−1).
    seed: int | None = None
    # Audio file that the clip begins with.
    continuation: NDArray[np.float32] | None = None
    # Audio file whose melody to follow; only melody checkpoints take one.
    melody: NDArray[np.float32] | None = None
    # What turns tokens into sound: multiband_diffusion sounds better and takes longer (encodec, multiband_diffusion).
    decoder: str = "encodec"
    # Length of each streamed chunk (0.1 to 10 seconds).
    chunk_seconds: float = 0.5
    # /generated
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(MAX_SEED + 1))
        for parameter in PARAMETERS:
            value = None if parameter.frontend == "unary" else getattr(self, parameter.name)
            if value is not None and not parameter.audio:
                parameter.check(value)
        if self.timeout is not None and not 0 < self.timeout <= MAX_TIMEOUT:
            raise InvalidRequest("timeout", self.timeout, f"must be above 0 and at most {MAX_TIMEOUT:,} seconds")

    def top_k_of(self, card: int) -> int:
        """`top_k` for codebooks of `card` tokens: as given, or the default, which they bound; 0 means all."""
        return min(int(BY_NAME["top_k"].default), card) if self.top_k is None else self.top_k
