"""Every call as data: which model, which inputs, which outputs, and how the answer is read. No I/O but files.

Both clients run these; only their transports differ. Neither datatypes nor bounds are checked here: the server's
model metadata and its refusals hold for the server that is called, which may be newer than this client.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tritonclient.utils import triton_to_np_dtype

from audiocraft_client._contract import (
    ANALYZE,
    AUDIO_PARAMETERS,
    DECODER_MODELS,
    DISCRIMINATORS,
    ENCODE,
    STREAM_MODELS,
    UNARY_MODELS,
)
from audiocraft_client.errors import InvalidRequest, ServerFailure
from audiocraft_client.results import Analysis, Audio, Chunk, Codes, FeatureLayer

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
Outputs: TypeAlias = Mapping[str, Array]
AudioSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Audio"
Result = TypeVar("Result")

TIMEOUT_SECONDS = 300.0
"""How long a call, or a whole stream, may take by default."""
HEALTH_SECONDS = 10.0  # a server that takes longer than this to say that it is ready, isn't
STREAM_NEEDS_GRPC = (
    "streaming needs gRPC, and this client speaks HTTP: connect to the gRPC port, as in 'localhost:8001'"
)


# generated: options
class GenerationOptions(TypedDict, total=False):
    """What may be said about a generation besides its text. Left out or None: the server's default.

    Attributes:
        duration: Length of the clip, including a continuation (0.1 to 300 seconds).
        temperature: Variety: 0 always takes the likeliest token, higher values surprise more (0 to 10).
        cfg_coef: How closely to follow the text (classifier-free guidance); 1 means no guidance (0 to 20).
        top_k: Sample among the k likeliest tokens; 0 means all (0 to the codebook size).
        top_p: Sample among the likeliest tokens of this total probability; above 0 it replaces top_k (0 to 1).
        seed: The same request with the same seed gives the same clip; every answer names its seed (0 to 2⁶³−1).
        continuation: Audio file that the clip begins with.
        melody: Audio file whose melody to follow; only melody checkpoints take one.
        decoder: What turns tokens into sound: multiband_diffusion sounds better and takes longer (encodec,
            multiband_diffusion).
        return_codes: Also return the EnCodec codes.
    """

    duration: float | None
    temperature: float | None
    cfg_coef: float | None
    top_k: int | None
    top_p: float | None
    seed: int | None
    continuation: AudioSource | None
    melody: AudioSource | None
    decoder: str | None
    return_codes: bool


# /generated


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One input, ready to send: `data` has the numpy type of `datatype` (BYTES: objects holding bytes)."""

    name: str
    datatype: str
    data: Array


Tensors: TypeAlias = Sequence[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[Result]):
    """One request, and how its answer is read.

    Attributes:
        model: the served model's name.
        values: input name -> a scalar, text, bytes or array. What isn't here isn't sent.
        outputs: what to ask for; the server computes nothing else.
        read: turns one response's tensors into the result.
    """

    model: str
    values: Mapping[str, Any]
    outputs: tuple[str, ...]
    read: Callable[[Outputs], Result]

    def tensors(self, datatypes: Mapping[str, str]) -> list[Tensor]:
        """The inputs in the server's datatypes.

        Args:
            datatypes: the model's inputs by name, from its metadata, such as {"duration": "FP32"}.
        Raises:
            InvalidRequest: the model has no such input, or the value doesn't fit its datatype.
        """
        for name in self.values:
            if name not in datatypes:
                inputs = ", ".join(sorted(datatypes))
                raise InvalidRequest(f"model {self.model!r} has no input {name!r}: it takes {inputs}")
        return [_tensor(name, datatypes[name], value) for name, value in self.values.items()]


def generate(kind: str, text: str, options: GenerationOptions) -> Call[Audio]:
    """`kind` "music" or "sound" -> a whole clip."""
    outputs, values = _generation(text, options)
    return Call(UNARY_MODELS[kind], values, outputs, _read_audio)


def stream(kind: str, text: str, chunk_seconds: float | None, options: GenerationOptions) -> Call[Chunk | None]:
    """`kind` "music" or "sound" -> chunks. `read` takes the responses in order; None: no audio."""
    if kind not in STREAM_MODELS:
        raise InvalidRequest(f"model={kind!r}: must be one of {', '.join(STREAM_MODELS)}")
    outputs, values = _generation(text, options)
    if chunk_seconds is not None:
        values["chunk_seconds"] = chunk_seconds
    return Call(STREAM_MODELS[kind], values, outputs, _ChunkReader())


def encode(file: AudioSource) -> Call[Codes]:
    """Audio file -> codes."""
    return Call(ENCODE, {"audio_file": _file_bytes(file)}, ("codes", "sample_rate", "duration"), _read_codes)


def decode(codes: Codes | ArrayLike, decoder: str, seed: int | None) -> Call[Audio]:
    """Codes [codebooks, frames] or [1, codebooks, frames] -> a clip."""
    if decoder not in DECODER_MODELS:
        raise InvalidRequest(f"decoder={decoder!r}: must be one of {', '.join(DECODER_MODELS)}")
    array = np.asarray(codes.codes if isinstance(codes, Codes) else codes)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or len(array) != 1:
        raise InvalidRequest(f"codes of shape {array.shape}: must be [codebooks, frames]")
    values: dict[str, Any] = {"codes": array}
    outputs: tuple[str, ...] = ("waveform", "sample_rate")
    if decoder == "multiband_diffusion":
        outputs += ("seed",)  # diffusion starts from noise
    if seed is not None:
        values["seed"] = np.array([[seed]])
    return Call(DECODER_MODELS[decoder], values, outputs, _read_audio)


def analyze(file: AudioSource, threshold: float | None, feature_maps: bool) -> Call[Analysis]:
    """Audio file -> the discriminators' scores."""
    values: dict[str, Any] = {"audio_file": _file_bytes(file)}
    if threshold is not None:
        values["threshold"] = threshold
    outputs: tuple[str, ...] = (
        *(f"{name}_score" for name in DISCRIMINATORS),
        *("realness", "is_real", "calibrated", "window_scores", "window_seconds", "duration"),
    )
    if feature_maps:
        outputs += ("feature_maps", "feature_layout")
    return Call(ANALYZE, values, outputs, _read_analysis)


def _generation(text: str, options: GenerationOptions) -> tuple[tuple[str, ...], dict[str, Any]]:
    unknown = sorted(set(options) - set(GenerationOptions.__annotations__))
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}: there are {', '.join(GenerationOptions.__annotations__)}")
    values: dict[str, Any] = {"text": text}
    for name, value in options.items():
        if value is not None and name != "return_codes":
            values[name] = _file_bytes(value) if name in AUDIO_PARAMETERS else value
    outputs: tuple[str, ...] = ("waveform", "sample_rate", "seed")
    if options.get("return_codes"):
        outputs += ("codes",)
    return outputs, values


def _file_bytes(source: Any) -> bytes:
    if isinstance(source, Audio):
        return source.to_bytes("wav_float")
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    data = source.read() if hasattr(source, "read") else source
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidRequest(
            f"audio can't be read from {type(data).__name__}: give a path, bytes, an Audio or a binary file"
        )
    return bytes(data)


def _tensor(name: str, datatype: str, value: Any) -> Tensor:
    if datatype == "BYTES":
        data = value.encode() if isinstance(value, str) else value
        if not isinstance(data, bytes):
            raise InvalidRequest(f"{name}={value!r}: must be text")
        return Tensor(name, datatype, np.array([data], dtype=np.object_))
    array = np.atleast_1d(np.asarray(value))
    try:
        cast = array.astype(triton_to_np_dtype(datatype))
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRequest(f"{name}={value!r}: is not a {datatype} number") from error
    # numpy would cut 2.5 to 2 and wrap 2**40 without a word.
    if cast.dtype.kind in "iu" and not np.array_equal(cast, array):
        raise InvalidRequest(f"{name}={value!r}: must be a whole number that fits {datatype}")
    return Tensor(name, datatype, cast)


def _get(outputs: Outputs, name: str) -> Array:
    if name not in outputs:
        raise ServerFailure(f"the server left out the output {name!r}: its models don't match this client")
    return outputs[name]


def _scalar(outputs: Outputs, name: str) -> Any:
    return _get(outputs, name).reshape(-1)[0]


def _matrix(outputs: Outputs, name: str, dtype: type) -> Array:
    """The last two axes, copied: a response's own buffer is read-only."""
    array = _get(outputs, name)
    return np.array(array.reshape(array.shape[-2:]), dtype)


def _read_audio(outputs: Outputs) -> Audio:
    return Audio(
        _matrix(outputs, "waveform", np.float32),
        int(_scalar(outputs, "sample_rate")),
        int(_scalar(outputs, "seed")) if "seed" in outputs else None,
        _matrix(outputs, "codes", np.int32) if "codes" in outputs else None,
    )


def _read_codes(outputs: Outputs) -> Codes:
    return Codes(
        _matrix(outputs, "codes", np.int32),
        int(_scalar(outputs, "sample_rate")),
        float(_scalar(outputs, "duration")),
    )


def _read_analysis(outputs: Outputs) -> Analysis:
    number = partial(_scalar, outputs)
    layout: tuple[FeatureLayer, ...] = ()
    if "feature_layout" in outputs:
        layout = tuple(
            FeatureLayer(row["discriminator"], row["part"], row["layer"], row["channels"], row["offset"])
            for row in json.loads(number("feature_layout"))
        )
    return Analysis(
        mpd_score=float(number("mpd_score")),
        msd_score=float(number("msd_score")),
        msstftd_score=float(number("msstftd_score")),
        realness=float(number("realness")),
        is_real=bool(number("is_real")),
        calibrated=bool(number("calibrated")),
        window_scores=_matrix(outputs, "window_scores", np.float32),
        window_seconds=float(number("window_seconds")),
        duration=float(number("duration")),
        feature_maps=_matrix(outputs, "feature_maps", np.float32) if "feature_maps" in outputs else None,
        feature_layout=layout,
    )


class _ChunkReader:
    """Reads a stream's responses in order, keeping count of what came before."""

    def __init__(self) -> None:
        self._index = 0
        self._samples = 0

    def __call__(self, outputs: Outputs) -> Chunk | None:
        if not outputs:  # Triton's final response says only that the stream has ended
            return None
        audio = _read_audio(outputs)
        start = self._samples / audio.sample_rate
        seed = int(_scalar(outputs, "seed"))
        chunk = Chunk(audio.waveform, audio.sample_rate, seed, start, self._index, audio.codes)
        self._index += 1
        self._samples += audio.waveform.shape[1]
        return chunk
