"""Reads a generation model's inputs from Triton's tensors into plain values; the engine interprets them."""

from __future__ import annotations

from typing import Any

from audiocraft_triton.audio.files import check_file_size
from audiocraft_triton.contract.parameters import PARAMETERS
from audiocraft_triton.serving.adapters import tensors

AUDIO_INPUTS = tuple(parameter.name for parameter in PARAMETERS if parameter.audio)


def read_values(request: Any) -> dict[str, Any]:
    """Returns those engine parameters that were sent, by name: texts, numbers, audio files as bytes; `timeout` in s.

    Raises:
        InvalidRequest: the text is missing (it may be empty) or not UTF-8, or an audio file is over the limit.
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
