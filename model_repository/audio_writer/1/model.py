"""Decoded waveforms to complete audio files."""

from __future__ import annotations

import base64
from typing import Any

from adapters import tensors
from adapters.each_request import EachRequestModel
from adapters.settings import Settings
from engine.audio_files import write_audio
from engine.manifests import read_manifest
from engine.request import BY_NAME


class TritonPythonModel(EachRequestModel):
    """Writes at the exported codec's rate."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Learns the codec's rate from its manifest."""
        self._sample_rate: int = read_manifest(Settings(args).repository, "encodec_decoder")["sample_rate"]

    def answer(self, request: Any) -> dict[str, Any]:
        """The file where it is asked for, and the plain waveform."""
        waveform = tensors.array(request, "decoded")[0]
        outputs = {
            "waveform": tensors.tensor("waveform", waveform, "FP32"),
            "sample_rate": tensors.tensor("sample_rate", [self._sample_rate], "INT32"),
        }
        if "audio" in request.requested_output_names():
            format = tensors.text(request, "format", BY_NAME["format"].default)
            assert format is not None  # it has a default
            file = write_audio(waveform, self._sample_rate, format)
            as_base64 = tensors.scalar(request, "base64", BY_NAME["base64"].default)
            outputs["audio"] = tensors.tensor("audio", [base64.b64encode(file) if as_base64 else file], "BYTES")
        return outputs
