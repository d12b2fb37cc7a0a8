"""A generation model's inputs as plain values, from Triton's tensors; what they mean lies in the engine."""

from __future__ import annotations

from typing import Any

from audiocraft_triton.audio.files import check_file_size
from audiocraft_triton.contract.parameters import PARAMETERS
from audiocraft_triton.serving.adapters import tensors

AUDIO_INPUTS = tuple(parameter.name for parameter in PARAMETERS if parameter.audio)


def read_values(request: Any) -> dict[str, Any]:
    """What was sent of the engine's parameters, by name: texts, numbers, audio files as bytes; `timeout` in seconds.

    Raises:
        InvalidRequest: no text (it may be empty, not left out), or one that is not UTF-8; an audio file over the limit.
    """
    tensors.required(request, "text")
    values: dict[str, Any] = {}
    for parameter in PARAMETERS:
        if parameter.frontend == "unary":  # about the form of the answer, which the engine does not know
            continue
        if parameter.datatype == "BYTES" and not parameter.audio:
            value: Any = tensors.text(request, parameter.name)
        else:
            value = tensors.scalar(request, parameter.name)
        if parameter.name in AUDIO_INPUTS and value is not None:
            check_file_size(value, parameter.name)
        if value is not None:
            values[parameter.name] = value
    if microseconds := tensors.timeout(request):
        values["timeout"] = microseconds / 1e6
    return values
