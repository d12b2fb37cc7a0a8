"""The `audio` output: a complete file in the format a caller chose, as bytes or, for JSON callers, as base64."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from audiocraft_triton.audio.files import Waveform, write_audio
from audiocraft_triton.contract.parameters import BY_NAME
from audiocraft_triton.serving.adapters import tensors


@dataclass(frozen=True, slots=True)
class AudioOutput:
    """What a caller chose; checked when it is read, before any work is done for it.

    Attributes:
        format: one of FORMATS.
        as_base64: text instead of bytes.
    """

    format: str
    as_base64: bool

    @classmethod
    def read(cls, request: Any) -> AudioOutput:
        """From the inputs `format` and `base64`.

        Raises:
            InvalidRequest: unknown format.
        """
        format = tensors.text(request, "format", BY_NAME["format"].default)
        BY_NAME["format"].check(format)
        return cls(str(format), bool(tensors.scalar(request, "base64", BY_NAME["base64"].default)))

    def tensor(self, waveform: Waveform, sample_rate: int) -> Any:
        """The `audio` tensor, BYTES [1], of a waveform [channels, samples]."""
        file = write_audio(waveform, sample_rate, self.format)
        return tensors.tensor("audio", [base64.b64encode(file) if self.as_base64 else file], "BYTES")
