"""The inputs of the generation models: names, datatypes, defaults and bounds, defined here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiocraft_triton.contract.errors import InvalidRequest

FORMATS = ("wav", "flac", "ogg", "mp3", "pcm_f32")
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
        """Raises InvalidRequest where `value` is outside the bounds."""
        if self.choices:
            if value not in self.choices:
                raise InvalidRequest(self.name, value, f"must be one of {', '.join(self.choices)}")
            return
        if self.datatype == "BYTES":
            if self.high is not None and len(value) > self.high:
                raise InvalidRequest(
                    self.name, value, f"has {len(value):,} characters, at most {self.high:,} are allowed"
                )
            return
        if self.low is None or self.high is None:
            return
        if not (math.isfinite(value) and self.low <= value <= self.high):
            unit = f" {self.unit}" if self.unit else ""
            raise InvalidRequest(self.name, value, f"must be between {self.low:,} and {self.high:,}{unit}")


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("text", "BYTES", None, 0, 2_000),
    Parameter("duration", "FP32", 10.0, 0.1, 300, unit="seconds"),
    Parameter("temperature", "FP32", 1.0, 0, 10),
    Parameter("top_k", "INT32", 250, 0, 2**31 - 1),  # the checkpoint bounds it further: its codebook's size
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
