"""Writes decoded waveforms as complete audio files."""

from __future__ import annotations

from typing import Any

from audiocraft_triton.contract.models import ENCODEC_DECODER
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.audio_output import AudioOutput
from audiocraft_triton.serving.adapters.each_request import EachRequestModel
from audiocraft_triton.serving.adapters.settings import Settings
from audiocraft_triton.torchscript.exported import read_manifest


class TritonPythonModel(EachRequestModel):
    """Writes files at the exported codec's sample rate."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Reads the codec's sample rate from its manifest."""
        self._sample_rate: int = read_manifest(Settings(args).repository, ENCODEC_DECODER)["sample_rate"]

    def answer(self, request: Any) -> dict[str, Any]:
        """Returns the waveform, and the file if it was requested."""
        waveform = tensors.array(request, "decoded")[0]
        outputs = {
            "waveform": tensors.tensor("waveform", waveform, "FP32"),
            "sample_rate": tensors.tensor("sample_rate", [self._sample_rate], "INT32"),
        }
        if "audio" in request.requested_output_names():
            outputs["audio"] = AudioOutput.read(request).tensor(waveform, self._sample_rate)
        return outputs
