"""The inputs of the generation models: each is defined here and nowhere else.

`make contract` writes what can't import this table: Triton's configs, the client, the page, the tables in the docs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import (
    MAX_CHUNK_SECONDS,
    MAX_SECONDS,
    MAX_SEED,
    MAX_TEXT_CHARACTERS,
    MIN_CHUNK_SECONDS,
    MIN_SECONDS,
)

Datatype = Literal["BYTES", "FP32", "INT32", "INT64", "BOOL"]
Frontend = Literal["both", "unary", "stream"]
FileFormat = Literal["wav", "flac", "ogg", "mp3"]
Decoder = Literal["encodec", "multiband_diffusion"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
FORMATS = (*FILE_FORMATS, "pcm_f32")
DECODERS: tuple[Decoder, ...] = get_args(Decoder)


@dataclass(frozen=True, slots=True)
class Control:
    """How the studio page shows a number: a field for its whole range, and a slider for what is worth hearing.

    Attributes:
        label: the field's name.
        low, high, step: the slider's range.
        detailed: shown only when a user opens the fine tuning.
    """

    label: str
    low: float
    high: float
    step: float
    detailed: bool = True


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of the generation models.

    Attributes:
        name: Triton input name.
        datatype: Triton datatype; every input has shape [1].
        description: a sentence for the docs, `--help`, the OpenAPI and the page.
        default: what holds when it is not sent; None where there is none.
        low, high: inclusive bounds of a number, or of a text's length in characters.
        choices: the allowed words.
        unit: of a number, for messages.
        frontend: which of the models take it: "both", "unary" or "stream".
        required: Triton refuses a request without it.
        audio: the bytes are those of an audio file.
        unset: what happens when it is not sent and has no default, in words.
        limit: the upper bound in words, where each checkpoint has its own below `high`. It bounds the default too, so
            an engine must know whether a value was sent.
        control: how the page shows it; None: not as a number with a slider.
    """

    name: str
    datatype: Datatype
    description: str
    default: Any = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    frontend: Frontend = "both"
    required: bool = False
    audio: bool = False
    unset: str = ""
    limit: str = ""
    control: Control | None = None

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
    Parameter(
        "text",
        "BYTES",
        "What to generate, in words; an empty text leaves it to the model.",
        low=0,
        high=MAX_TEXT_CHARACTERS,
        required=True,
    ),
    Parameter(
        "duration",
        "FP32",
        "Length of the clip, including a continuation.",
        default=10.0,
        low=MIN_SECONDS,
        high=MAX_SECONDS,
        unit="seconds",
        control=Control("Length", 1, 30, 0.5, detailed=False),
    ),
    Parameter(
        "temperature",
        "FP32",
        "Variety: 0 always takes the likeliest token, higher values surprise more.",
        default=1.0,
        low=0,
        high=10,
        control=Control("Variety", 0, 2, 0.05),
    ),
    Parameter(
        "cfg_coef",
        "FP32",
        "How closely to follow the text (classifier-free guidance); 1 means no guidance.",
        default=3.0,
        low=0,
        high=20,
        control=Control("Closeness to the text", 1, 10, 0.1),
    ),
    Parameter(
        "top_k",
        "INT32",
        "Sample among the k likeliest tokens; 0 means all.",
        default=250,
        low=0,
        high=2**31 - 1,
        limit="codebook size",
        control=Control("Top k", 0, 500, 5),
    ),
    Parameter(
        "top_p",
        "FP32",
        "Sample among the likeliest tokens of this total probability; above 0 it replaces top_k.",
        default=0.0,
        low=0,
        high=1,
        control=Control("Top p", 0, 1, 0.01),
    ),
    Parameter(
        "seed",
        "INT64",
        "The same request with the same seed gives the same clip; every answer names its seed.",
        low=0,
        high=MAX_SEED,
        unset="drawn",
    ),
    Parameter("continuation", "BYTES", "Audio file that the clip begins with.", audio=True),
    Parameter("melody", "BYTES", "Audio file whose melody to follow; only melody checkpoints take one.", audio=True),
    Parameter(
        "decoder",
        "BYTES",
        "What turns tokens into sound: multiband_diffusion sounds better and takes longer.",
        default="encodec",
        choices=DECODERS,
    ),
    Parameter("format", "BYTES", "Format of the audio file.", default="wav", choices=FORMATS, frontend="unary"),
    Parameter("base64", "BOOL", "Encode the audio file as base64, for JSON callers.", default=False, frontend="unary"),
    Parameter(
        "chunk_seconds",
        "FP32",
        "Length of each streamed chunk.",
        default=0.5,
        low=MIN_CHUNK_SECONDS,
        high=MAX_CHUNK_SECONDS,
        unit="seconds",
        frontend="stream",
    ),
)
BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in PARAMETERS}

WHOLE_CLIP: float = MAX_CHUNK_SECONDS
"""chunk_seconds of a caller who wants the clip, not a stream: as long as a chunk may be."""
THRESHOLD = Parameter("threshold", "FP32", "Realness from which a clip counts as real.", default=0.5, low=0, high=1)
"""The input of `analyze` beside the file."""
