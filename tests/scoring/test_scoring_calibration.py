"""`analyze` applies the fitted calibration: from the checkpoint to the verdict."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from audiocraft_triton.checkpoints.convert import convert
from audiocraft_triton.checkpoints.layout import CODEC_FILE, DISCRIMINATORS_FILE, resolve
from audiocraft_triton.checkpoints.reading import read_state
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import load_discriminators
from audiocraft_triton.torchscript import archive, models
from audiocraft_triton.torchscript.exported import read_manifest
from audiocraft_triton.torchscript.models import export_models, is_current
from audiocraft_triton.torchscript.verify import varied_audio

PROJECT = Path(__file__).resolve().parents[2]
CALIBRATION = {
    "mpd": {"scale": 40.0, "bias": 1.0},
    "msd": {"scale": -25.0, "bias": 0.5},
    "msstftd": {"scale": 3.0, "bias": -2.0},
}


class FakeTensor:
    """The parts of Triton's tensor that the model uses."""

    def __init__(self, name: str, values: Any) -> None:
        self.name = name
        self.values = values

    def as_numpy(self) -> Any:
        return self.values


@pytest.fixture(scope="module")
def checkpoint(demo_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The music codec and calibrated discriminators in safetensors and JSON."""
    folder = tmp_path_factory.mktemp("calibrated")
    for name in (CODEC_FILE, DISCRIMINATORS_FILE):
        package = read_state(demo_checkpoints / "music" / name)
        config = OmegaConf.create(package["xp.cfg"])
        if name == DISCRIMINATORS_FILE:
            config.calibration = CALIBRATION
        (folder / "trained").mkdir(exist_ok=True)
        torch.save({**package, "xp.cfg": OmegaConf.to_yaml(config)}, folder / "trained" / name)
    convert(resolve(str(folder / "trained")), folder / "shipped", lm="int8", report=lambda _line: None)
    return folder / "shipped"


@pytest.fixture(scope="module")
def repository(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of that checkpoint, without the verification, which other tests cover."""
    repository = tmp_path_factory.mktemp("served") / "model_repository"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("verify_encoder", "verify_decoder", "verify_discriminator"):
            patch.setattr(models.verify, name, lambda *_arguments: 0)
        export_models(str(checkpoint), repository, report=lambda _line: None)
    return repository


@pytest.fixture
def realness(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model `realness` with the exported manifests, outside Triton."""
    triton = ModuleType("triton_python_backend_utils")
    triton.Tensor = FakeTensor  # type: ignore[attr-defined]
    triton.InferenceResponse = dict  # type: ignore[attr-defined]
    triton.get_input_tensor_by_name = lambda request, name: request.tensors.get(name)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, triton.__name__, triton)
    for name in [name for name in sys.modules if name.startswith("audiocraft_triton.serving.adapters")]:
        monkeypatch.delitem(sys.modules, name)
    path = PROJECT / "model_repository" / "realness" / "1" / "model.py"
    spec = importlib.util.spec_from_file_location("realness_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    arguments = {"model_name": "realness", "model_repository": str(repository / "realness"), "model_config": "{}"}
    model.initialize({**arguments, "model_instance_kind": "CPU", "model_instance_device_id": "0"})
    return model


def test_manifests_carry_the_fitted_calibration(repository: Path) -> None:
    assert {name: read_manifest(repository, name)["calibration"] for name in DISCRIMINATORS} == CALIBRATION


def test_the_served_verdict_is_the_fitted_map_of_the_eager_logits(
    repository: Path, checkpoint: Path, realness: Any
) -> None:
    windows = varied_audio(32_000, 3, 1, 64_000)
    given, expected = {}, []
    eager, _ = load_discriminators(resolve(str(checkpoint)))
    for name in DISCRIMINATORS:
        scripted = archive.from_bytes((repository / name / "1" / "model.pt").read_bytes())
        with torch.inference_mode():
            logits, features = scripted(windows)
            maps, _ = eager[name](windows)
        given[f"{name}_logits"] = FakeTensor(f"{name}_logits", logits.numpy())
        given[f"{name}_features"] = FakeTensor(f"{name}_features", features.numpy())
        mean = torch.stack([part.flatten(1).mean(dim=1) for part in maps], dim=1).mean(dim=1).double()
        expected.append(torch.sigmoid(CALIBRATION[name]["scale"] * mean + CALIBRATION[name]["bias"]).numpy())

    answer = realness.answer(SimpleNamespace(tensors=given))

    assert bool(answer["calibrated"].as_numpy()[0])
    np.testing.assert_allclose(answer["window_scores"].as_numpy(), np.stack(expected, axis=1), atol=1e-5)
    scores = [answer[f"{name}_score"].as_numpy()[0] for name in DISCRIMINATORS]
    np.testing.assert_allclose(scores, np.stack(expected).mean(axis=1), atol=1e-5)
    assert np.std(np.stack(expected)) > 0.05  # the maps differ, so a mix-up would show


def test_another_calibration_makes_the_export_out_of_date(repository: Path, checkpoint: Path) -> None:
    assert is_current(str(checkpoint), repository)
    path = checkpoint / "discriminators.json"
    before = path.read_text()
    description = json.loads(before)
    description["config"]["calibration"]["msd"]["bias"] = 0.75
    path.write_text(json.dumps(description))
    assert not is_current(str(checkpoint), repository)
    path.write_text(before)
    assert is_current(str(checkpoint), repository)
