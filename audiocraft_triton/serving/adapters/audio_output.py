"""The `audio` output: a complete file in the format that a caller chose, as bytes or, for JSON callers, as base64."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from audiocraft_triton.audio.files import Waveform, write_audio
from audiocraft_triton.contract.parameters import BY_NAME
from audiocraft_triton.serving.adapters import tensors


@dataclass(frozen=True, slots=True)
class AudioOutput:
    """The output format that a caller chose, checked before any work is done.

    Attributes:
        format: one of FORMATS.
        as_base64: return base64 text instead of bytes.
    """

    format: str
    as_base64: bool

    @classmethod
    def read(cls, request: Any) -> AudioOutput:
        """Reads the inputs `format` and `base64`.

        Raises:
            InvalidRequest: the format is unknown.
        """
        format = tensors.text(request, "format", BY_NAME["format"].default)
        BY_NAME["format"].check(format)
        return cls(str(format), bool(tensors.scalar(request, "base64", BY_NAME["base64"].default)))

    def tensor(self, waveform: Waveform, sample_rate: int) -> Any:
        """Makes the `audio` tensor, BYTES [1], from a waveform [channels, samples]."""
        file = write_audio(waveform, sample_rate, self.format)
        return tensors.tensor("audio", [base64.b64encode(file) if self.as_base64 else file], "BYTES")
