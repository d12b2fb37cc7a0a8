"""The model repository holds either a complete, verified export or its previous content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from audiocraft_triton.checkpoints.layout import CODEC_FILE, DISCRIMINATORS_FILE
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.contract.models import DISCRIMINATORS, EXPORTED_MODELS
from audiocraft_triton.torchscript import archive, models
from audiocraft_triton.torchscript.manifest import CodecManifest, DiscriminatorManifest, Manifest
from audiocraft_triton.torchscript.models import export_models, is_current
from audiocraft_triton.torchscript.verify import VerificationError, varied_audio

Exported = tuple[Path, list[Manifest]]


class RunsCode:
    """An object whose unpickling would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def repository(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the export of `demo`."""
    return Path(shutil.copytree(exported[0], tmp_path / "repository"))


@pytest.fixture
def checkpoint(demo_checkpoints: Path, tmp_path: Path) -> Path:
    """A checkpoint in a directory, with codec and discriminators."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in (CODEC_FILE, DISCRIMINATORS_FILE):
        shutil.copy(demo_checkpoints / "music" / name, folder)
    return folder


def test_every_model_is_in_its_folder_with_a_manifest_that_holds_its_hash(exported: Exported) -> None:
    repository, manifests = exported
    assert tuple(manifest.model for manifest in manifests) == EXPORTED_MODELS
    assert len(contents(repository)) == 2 * len(EXPORTED_MODELS)
    for manifest in manifests:
        folder = repository / manifest.model / "1"
        assert hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest() == manifest.model_sha256
        assert Manifest.read(folder / "manifest.json") == manifest


def test_the_written_models_run_and_have_the_shapes_of_their_manifests(exported: Exported) -> None:
    repository, manifests = exported
    audio = {"waveform": varied_audio(32_000, 2, 1, 1001), "window": varied_audio(32_000, 2, 1, 64_000)}
    given = {**audio, "codes": torch.zeros(2, 4, 3, dtype=torch.int32)}
    dtypes = {"FP32": torch.float32, "INT32": torch.int32}
    for manifest in manifests:
        model = archive.from_bytes((repository / manifest.model / "1" / "model.pt").read_bytes())
        results = model(given[manifest.inputs[0].name])
        results = results if isinstance(results, tuple) else (results,)
        assert len(results) == len(manifest.outputs)
        for result, spec in zip(results, manifest.outputs, strict=True):
            assert result.dtype == dtypes[spec.dtype]
            assert all(wanted in (-1, size) for wanted, size in zip(spec.shape, result.shape, strict=True))


def test_a_manifest_holds_in_plain_json_what_adapters_need(exported: Exported) -> None:
    repository, _ = exported
    codec = json.loads((repository / "encodec_encoder" / "1" / "manifest.json").read_text())
    assert {key: codec[key] for key in ("sample_rate", "channels", "codebooks", "card", "frame_rate")} == {
        "sample_rate": 32_000, "channels": 1, "codebooks": 4, "card": 512, "frame_rate": 50
    }  # fmt: skip
    assert codec["hop_length"] == 640
    judge = json.loads((repository / "mpd" / "1" / "manifest.json").read_text())
    assert judge["window"] == 64_000
    assert judge["parts"] == 5
    assert judge["calibration"] is None
    assert judge["feature_layout"][1] == {
        "discriminator": "mpd", "part": 0, "layer": 1, "channels": 32, "offset": 8
    }  # fmt: skip


def test_a_damaged_manifest_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    for text in ("[]", "{", '{"codebooks": 4}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.json|Expecting"):
            Manifest.read(path)


def test_calibration_of_the_checkpoint_reaches_the_manifests(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_verification(monkeypatch)
    state = torch.load(checkpoint / DISCRIMINATORS_FILE, weights_only=True)
    calibration = [f"  {name}: {{scale: 2.5, bias: -1.0}}" for name in DISCRIMINATORS]
    state["xp.cfg"] = state["xp.cfg"].replace("calibration: null", "\n".join(["calibration:", *calibration]))
    torch.save(state, checkpoint / DISCRIMINATORS_FILE)
    manifests = export_models(str(checkpoint), tmp_path / "repository", report=lambda _line: None)
    assert isinstance(manifests[2], DiscriminatorManifest)
    assert manifests[2].calibration == {"scale": 2.5, "bias": -1.0}


def test_a_directory_checkpoint_is_exported_with_its_own_discriminators(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_verification(monkeypatch)
    lines: list[str] = []
    manifests = export_models(str(checkpoint), tmp_path / "repository", report=lines.append)
    assert {manifest.checkpoint for manifest in manifests} == {str(checkpoint)}
    assert f"discriminators come from checkpoint {str(checkpoint)!r}" in lines


@pytest.mark.usefixtures("demo_checkpoints")
def test_a_checkpoint_without_discriminators_takes_those_of_demo_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_verification(monkeypatch)
    lines: list[str] = []
    manifests = export_models("demo-sound", tmp_path, report=lines.append)
    assert [manifest.checkpoint for manifest in manifests] == ["demo-sound"] * 2 + ["demo"] * 3
    assert "discriminators come from checkpoint 'demo'" in lines
    assert isinstance(manifests[0], CodecManifest)
    assert (manifests[0].sample_rate, manifests[0].hop_length) == (16_000, 320)


def test_the_discriminators_checkpoint_can_be_chosen(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_verification(monkeypatch)
    manifests = export_models("demo", tmp_path, discriminators=str(checkpoint), report=lambda _line: None)
    assert [manifest.checkpoint for manifest in manifests] == ["demo"] * 2 + [str(checkpoint)] * 3
    assert is_current("demo", tmp_path, str(checkpoint))
    assert not is_current("demo", tmp_path)


def test_a_damaged_checkpoint_leaves_the_old_models(repository: Path, checkpoint: Path) -> None:
    before = contents(repository)
    for name in (DISCRIMINATORS_FILE, CODEC_FILE):
        whole = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CheckpointError, match="damaged"):
            export_models(str(checkpoint), repository, report=lambda _line: None)
        assert contents(repository) == before


def test_a_pickled_object_is_refused_without_running_and_leaves_the_old_models(
    repository: Path, checkpoint: Path, tmp_path: Path
) -> None:
    before = contents(repository)
    torch.save({"best_state": {}, "xp.cfg": RunsCode(tmp_path / "ran")}, checkpoint / CODEC_FILE)
    with pytest.raises(CheckpointError, match="refused"):
        export_models(str(checkpoint), repository, report=lambda _line: None)
    assert not (tmp_path / "ran").exists()
    assert contents(repository) == before


def test_a_failed_verification_leaves_the_old_models(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(repository)

    def differs(*_arguments: object) -> int:
        raise VerificationError("mpd: differs")

    without_verification(monkeypatch)
    monkeypatch.setattr(models.verify, "verify_discriminator", differs)
    with pytest.raises(VerificationError):
        export_models("demo-sound", repository, report=lambda _line: None)
    assert contents(repository) == before


def test_a_full_disk_leaves_the_old_models_and_no_partial_files(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(repository)
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "manifest" in path.name and path.parent.parent.name == "msd":
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    without_verification(monkeypatch)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export_models("demo-sound", repository, report=lambda _line: None)
    assert contents(repository) == before


@pytest.mark.usefixtures("demo_checkpoints")
def test_unknown_checkpoints_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no-such-checkpoint"):
        export_models("no-such-checkpoint", tmp_path)
    with pytest.raises(CheckpointError, match="no-such-discriminators"):
        export_models("demo", tmp_path, discriminators="no-such-discriminators")
    assert not list(tmp_path.iterdir())


def test_an_export_is_current_until_something_it_depends_on_changes(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_current("demo", repository)
    assert not is_current("demo-sound", repository)
    with monkeypatch.context() as changed:
        changed.setattr(torch, "__version__", "0.0.0")
        assert not is_current("demo", repository)
    with monkeypatch.context() as changed:
        changed.setattr(models, "_exporter_sha256", lambda: "other code")
        assert not is_current("demo", repository)
    model = repository / "mpd" / "1" / "model.pt"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    assert not is_current("demo", repository)
    model.write_bytes(whole)
    assert is_current("demo", repository)
    (repository / "msstftd" / "1" / "manifest.json").unlink()
    assert not is_current("demo", repository)


def test_an_export_of_other_weights_under_the_same_name_is_not_current(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_verification(monkeypatch)
    export_models(str(checkpoint), tmp_path / "repository", report=lambda _line: None)
    assert is_current(str(checkpoint), tmp_path / "repository")
    state = torch.load(checkpoint / CODEC_FILE, weights_only=True)
    state["best_state"]["quantizer.vq.layers.0._codebook.embed"] += 1e-6
    torch.save(state, checkpoint / CODEC_FILE)
    assert not is_current(str(checkpoint), tmp_path / "repository")


def without_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the verification, which takes seconds, in tests that are about files."""
    for name in ("verify_encoder", "verify_decoder", "verify_discriminator"):
        monkeypatch.setattr(models.verify, name, lambda *_arguments: 0)
