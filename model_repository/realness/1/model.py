"""Turns the discriminators' logits into scores and a verdict."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.contract.parameters import THRESHOLD
from audiocraft_triton.scoring.realness import Calibration, judge
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.each_request import EachRequestModel
from audiocraft_triton.serving.adapters.settings import Settings
from audiocraft_triton.torchscript.exported import read_manifest


class TritonPythonModel(EachRequestModel):
    """Scores clips with the calibration and the feature layout that were exported with the discriminators."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Reads the three manifests."""
        repository = Settings(args).repository
        manifests = {name: read_manifest(repository, name) for name in DISCRIMINATORS}
        self._calibrated = all(manifest["calibration"] for manifest in manifests.values())
        self._calibrations = {
            name: Calibration(**(manifest["calibration"] or {})) for name, manifest in manifests.items()
        }
        self._layout = json.dumps(_joined_layout(manifests)).encode()

    def answer(self, request: Any) -> dict[str, Any]:
        """Scores one clip."""
        logits = {name: tensors.array(request, f"{name}_logits") for name in DISCRIMINATORS}
        threshold = tensors.scalar(request, "threshold", THRESHOLD.default)
        verdict = judge(logits, self._calibrations, threshold)
        features = [tensors.array(request, f"{name}_features") for name in DISCRIMINATORS]
        return {
            **{
                f"{name}_score": tensors.tensor(f"{name}_score", [score], "FP32")
                for name, score in verdict.scores.items()
            },
            "realness": tensors.tensor("realness", [verdict.realness], "FP32"),
            "is_real": tensors.tensor("is_real", [verdict.is_real], "BOOL"),
            "calibrated": tensors.tensor("calibrated", [self._calibrated], "BOOL"),
            "window_scores": tensors.tensor("window_scores", verdict.window_scores, "FP32"),
            "feature_maps": tensors.tensor("feature_maps", np.concatenate(features, axis=1), "FP32"),
            "feature_layout": tensors.tensor("feature_layout", [self._layout], "BYTES"),
        }


def _joined_layout(manifests: dict[str, Any]) -> list[dict[str, Any]]:
    """Joins the three layouts in the order in which `feature_maps` joins their columns."""
    layout, start = [], 0
    for name in DISCRIMINATORS:
        for row in manifests[name]["feature_layout"]:
            layout.append({**row, "offset": start + row["offset"]})
        start += manifests[name]["features"]
    return layout
