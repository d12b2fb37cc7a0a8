"""What is known about an exported model: the JSON beside its model.pt, plain to read without this code."""

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
        dtype: in Triton's words, `FP32` or `INT32`.
        shape: with the batch; -1 is any.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What every exported model has. No date: the same checkpoint and code give the same manifest.

    (`model_sha256` only under one PYTHONHASHSEED: torch.jit writes the constants of a layer in the order of a set.)

    Attributes:
        model: name, which is its folder's in the model repository.
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
        """The content of manifest.json."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def read(path: Path) -> Manifest:
        """Reads a manifest.json back.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a manifest, or one that another version wrote.
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
    """What `encodec_encoder` and `encodec_decoder` have besides.

    Attributes:
        codebooks: codes per frame.
        card: entries of a codebook; codes are 0 to card - 1.
        frame_rate: frames per second.
        hop_length: samples per frame; a clip has ceil(samples / hop_length) frames.
    """

    codebooks: int
    card: int
    frame_rate: int
    hop_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorManifest(Manifest):
    """What `mpd`, `msd` and `msstftd` have besides.

    Attributes:
        window: samples judged at a time.
        parts: sub-discriminators, columns of `logits`.
        features: columns of `feature_maps`.
        feature_layout: which columns belong to which layer.
        calibration: scale and bias of the logistic map from mean logit to probability; None if there is none.
    """

    window: int
    parts: int
    features: int
    feature_layout: tuple[FeatureLayer, ...]
    calibration: dict[str, float] | None


def _tensor_spec(values: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**values, "shape": tuple(values["shape"])})
