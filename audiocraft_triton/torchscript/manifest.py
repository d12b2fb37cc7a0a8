"""The manifest of an exported model: a JSON file next to its model.pt that can be read without this code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from audiocraft_triton.torchscript.discriminators import FeatureLayer


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or an output.

    Attributes:
        name: as in config.pbtxt.
        dtype: Triton's name, `FP32` or `INT32`.
        shape: with the batch dimension; -1 means any size.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Manifest of an exported model. It has no date: the same checkpoint and code give the same manifest.

    `model_sha256` is the same only under one PYTHONHASHSEED: torch.jit writes a layer's constants in a set's order.

    Attributes:
        model: name of the model, and of its folder in the model repository.
        checkpoint: name of the source, as the user gave it.
        source_sha256: of the checkpoint's file, or of its safetensors and JSON.
        exporter_sha256: of the code that exported it.
        model_sha256: of model.pt.
        torch: version that scripted it.
        sample_rate: Hz.
        channels: of the audio.
    """

    model: str
    checkpoint: str
    source_sha256: str
    exporter_sha256: str
    model_sha256: str
    torch: str
    sample_rate: int
    channels: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_json(self) -> str:
        """Returns the content of manifest.json."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def read(path: Path) -> Manifest:
        """Reads a manifest.json.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is not a manifest, or another version wrote it.
        """
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise ValueError(f"{path} is not a manifest")
        kind = CodecManifest if "codebooks" in values else DiscriminatorManifest
        if set(values) != {field.name for field in fields(kind)}:
            raise ValueError(f"{path} was written by another version: its keys are {', '.join(values)}")
        try:
            for key in ("inputs", "outputs"):
                values[key] = tuple(_tensor_spec(spec) for spec in values[key])
            if kind is DiscriminatorManifest:
                values["feature_layout"] = tuple(FeatureLayer(**layer) for layer in values["feature_layout"])
        except TypeError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        return kind(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecManifest(Manifest):
    """Manifest of `encodec_encoder` or `encodec_decoder`.

    Attributes:
        codebooks: codes per frame.
        card: entries of a codebook; codes range from 0 to card - 1.
        frame_rate: frames per second.
        hop_length: samples per frame; a clip has ceil(samples / hop_length) frames.
    """

    codebooks: int
    card: int
    frame_rate: int
    hop_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorManifest(Manifest):
    """Manifest of `mpd`, `msd` or `msstftd`.

    Attributes:
        window: samples scored at a time.
        parts: number of sub-discriminators, which is the number of columns of `logits`.
        features: number of columns of `feature_maps`.
        feature_layout: columns of each layer.
        calibration: scale and bias of the logistic map from mean logit to probability; None if uncalibrated.
    """

    window: int
    parts: int
    features: int
    feature_layout: tuple[FeatureLayer, ...]
    calibration: dict[str, float] | None


def _tensor_spec(values: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**values, "shape": tuple(values["shape"])})
