"""A generation request with checked parameters."""

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
    """A request for one clip. Its bounds are checked here, once; the engine checks those of the checkpoint.

    The generated fields are the contract's parameters, except that an audio file is a waveform here, float32
    [channels, samples] at the model's rate. An empty text means no condition; if the seed is None, it is drawn here.

    Attributes:
        timeout: seconds from submission after which the request expires; None means never. In Triton it is the request
            parameter `timeout` and not an input.

    Raises:
        InvalidRequest: a parameter is out of bounds; the message names the field, its value and its bound.
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
        """Returns `top_k` for codebooks of `card` tokens: as given, or the default, at most `card`; 0 means all."""
        return min(int(BY_NAME["top_k"].default), card) if self.top_k is None else self.top_k
