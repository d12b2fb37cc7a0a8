"""What a caller may ask of a generation model: the one definition of its inputs, defaults and bounds.

The Triton configs of `musicgen`, `audiogen` and their `_stream` siblings declare exactly these inputs
(a test compares them), the adapters build a `GenerationRequest` from them, and the client reads names and
datatypes from the served metadata.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio_files import FORMATS
from engine.errors import InvalidInput

MAX_SEED = 2**63 - 1
MAX_TIMEOUT = 86_400
DECODERS = ("encodec", "multiband_diffusion")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of the generation models.

    Attributes:
        name: Triton input name.
        datatype: Triton datatype; every input has shape [1].
        default: what is used when it is not sent; None where there is none.
        low, high: inclusive bounds of a number, or of a text's length in characters.
        choices: the allowed words.
        unit: for messages.
        face: which of the models has it: "both", "unary" or "stream".
    """

    name: str
    datatype: str
    default: Any = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    face: str = "both"

    def check(self, value: Any) -> None:
        """Raises InvalidInput where `value` is outside the bounds."""
        if self.choices:
            if value not in self.choices:
                raise InvalidInput(self.name, value, f"must be one of {', '.join(self.choices)}")
            return
        if self.datatype == "BYTES":
            if self.high is not None and len(value) > self.high:
                raise InvalidInput(
                    self.name, value, f"has {len(value):,} characters, at most {self.high:,} are allowed"
                )
            return
        if self.low is None or self.high is None:
            return
        if not (math.isfinite(value) and self.low <= value <= self.high):
            unit = f" {self.unit}" if self.unit else ""
            raise InvalidInput(self.name, value, f"must be between {self.low:,} and {self.high:,}{unit}")


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("text", "BYTES", None, 0, 2_000),
    Parameter("duration", "FP32", 10.0, 0.1, 300, unit="seconds"),
    Parameter("temperature", "FP32", 1.0, 0, 10),
    Parameter("top_k", "INT32", 250, 0, 2**31 - 1),
    Parameter("top_p", "FP32", 0.0, 0, 1),
    Parameter("cfg_coef", "FP32", 3.0, 0, 20),
    Parameter("seed", "INT64", None, 0, MAX_SEED),
    Parameter("continuation", "BYTES"),
    Parameter("melody", "BYTES"),
    Parameter("decoder", "BYTES", "encodec", choices=DECODERS),
    Parameter("format", "BYTES", "wav", choices=FORMATS, face="unary"),
    Parameter("base64", "BOOL", False, face="unary"),
    Parameter("chunk_seconds", "FP32", 0.5, 0.1, 10, unit="seconds", face="stream"),
)
WHOLE_CLIP = 10.0
"""chunk_seconds of a caller who wants the clip, not a stream: as long as a chunk may be."""
BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in PARAMETERS}


def _default(name: str) -> Any:
    return BY_NAME[name].default


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What one caller asked for. Bounds are checked here, once; those of the checkpoint by the engine.

    Attributes:
        text: prompt; empty means unconditional.
        duration: seconds of audio, continuation included; 0.1 to 300.
        temperature: 0 means greedy.
        top_k: keep the k likeliest tokens; 0 means all. At most the codebook size.
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
        InvalidInput: names the field, its value and its bound.
    """

    text: str = ""
    duration: float = field(default=_default("duration"))
    temperature: float = field(default=_default("temperature"))
    top_k: int = field(default=_default("top_k"))
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
            if item.name in BY_NAME and item.name not in ("continuation", "melody"):
                BY_NAME[item.name].check(getattr(self, item.name))
        if self.timeout is not None and not 0 < self.timeout <= MAX_TIMEOUT:
            raise InvalidInput("timeout", self.timeout, f"must be above 0 and at most {MAX_TIMEOUT:,} seconds")
