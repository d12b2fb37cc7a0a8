"""Decodes audio files to bounded waveforms."""

from __future__ import annotations

from typing import Any

from audiocraft_triton.audio.files import read_audio
from audiocraft_triton.audio.waveforms import convert, cut_windows
from audiocraft_triton.contract.models import DISCRIMINATORS, ENCODEC_ENCODER
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.each_request import EachRequestModel
from audiocraft_triton.serving.adapters.settings import Settings
from audiocraft_triton.torchscript.exported import read_manifest


class TritonPythonModel(EachRequestModel):
    """Decodes at the sample rate that a caller asks for, or at those of the exported codec and discriminators."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Reads the exported models' rates from their manifests."""
        repository = Settings(args).repository
        self._codec = read_manifest(repository, ENCODEC_ENCODER)
        self._discriminators = read_manifest(repository, DISCRIMINATORS[0])

    def answer(self, request: Any) -> dict[str, Any]:
        """Decodes the file once and converts it for each requested output."""
        wanted = request.requested_output_names()
        field = tensors.text(request, "field", "audio_file")
        assert field is not None  # it has a default
        waveform, rate = read_audio(bytes(tensors.required(request, "audio_file")), field)
        outputs = {"duration": tensors.tensor("duration", [waveform.shape[1] / rate], "FP32")}
        sample_rate = tensors.scalar(request, "sample_rate", self._codec["sample_rate"])
        outputs["sample_rate"] = tensors.tensor("sample_rate", [sample_rate], "INT32")
        if "waveform" in wanted:
            channels = tensors.scalar(request, "channels", self._codec["channels"])
            converted = convert(waveform, rate, sample_rate, channels)
            outputs["waveform"] = tensors.tensor("waveform", converted[None], "FP32")
        window, window_rate = self._discriminators["window"], self._discriminators["sample_rate"]
        outputs["window_seconds"] = tensors.tensor("window_seconds", [window / window_rate], "FP32")
        if "windows" in wanted:
            windows = cut_windows(convert(waveform, rate, window_rate, 1), window)
            outputs["windows"] = tensors.tensor("windows", windows, "FP32")
        return outputs
