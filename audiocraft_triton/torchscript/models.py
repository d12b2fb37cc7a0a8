"""Exports a checkpoint's codec and discriminators into Triton's model repository, all of them or none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DISCRIMINATORS_FILE,
    Checkpoint,
    resolve,
)
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.contract.models import (
    CODEC_MODELS,
    DISCRIMINATORS,
    ENCODEC_DECODER,
    ENCODEC_ENCODER,
    EXPORTED_MODELS,
)
from audiocraft_triton.scoring.discriminators import load_discriminators
from audiocraft_triton.torchscript import archive, verify
from audiocraft_triton.torchscript.codec import CodecDecoder, CodecEncoder, require_exportable
from audiocraft_triton.torchscript.discriminators import WindowDiscriminator, feature_layout
from audiocraft_triton.torchscript.manifest import (
    CodecManifest,
    DiscriminatorManifest,
    Manifest,
    TensorSpec,
)

DEFAULT_DISCRIMINATORS = "demo"
_CODE = Path(__file__).resolve().parent
_PACKAGE = _CODE.parent


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A verified model, ready to be written."""

    archive: bytes
    manifest: Manifest


def export_models(
    checkpoint: str,
    repository: Path,
    *,
    discriminators: str | None = None,
    report: Callable[[str], None] = print,
) -> list[Manifest]:
    """Writes model.pt and manifest.json into `<model>/1/` for every model, after all of them were verified.

    Args:
        checkpoint: checkpoint whose codec is exported: `demo`, `demo-sound`, a directory or a hub id.
        repository: the model repository; missing model folders are created.
        discriminators: checkpoint of the discriminators; None: `checkpoint` if it has some, else `demo`.
        report: takes a line of progress.

    Returns:
        the manifests, in the order of `EXPORTED_MODELS`.

    Raises:
        CheckpointError: a checkpoint is missing, damaged, unsafe or of a kind that can't be exported.
        VerificationError: an exported model differs from eager.
        Both are raised before the first file is replaced, so the models in the repository stay unchanged.
    """
    codec_source, discriminator_source = _sources(checkpoint, discriminators)
    built = list(build_codec(codec_source, report))
    report(f"discriminators come from checkpoint {discriminator_source.name!r}")
    built += build_discriminators(discriminator_source, report)
    install(built, repository)
    report(f"{len(built)} models written to {repository}")
    return [model.manifest for model in built]


def is_current(checkpoint: str, repository: Path, discriminators: str | None = None) -> bool:
    """Tells whether `export_models` with these arguments would change nothing; only compares hashes.

    Raises:
        CheckpointError: a checkpoint is missing.
    """
    codec_source, discriminator_source = _sources(checkpoint, discriminators)
    codec_sha256 = _files_sha256(*codec_source.files(CODEC_FILE))
    discriminators_sha256 = _files_sha256(*discriminator_source.files(DISCRIMINATORS_FILE))
    for name in EXPORTED_MODELS:
        folder = repository / name / "1"
        is_codec = name in CODEC_MODELS
        try:
            manifest = Manifest.read(folder / "manifest.json")
            written_sha256 = _files_sha256(folder / "model.pt")
        except (OSError, ValueError):
            return False
        wanted = {
            "model": name,
            "checkpoint": (codec_source if is_codec else discriminator_source).name,
            "source_sha256": codec_sha256 if is_codec else discriminators_sha256,
            "exporter_sha256": _exporter_sha256(),
            "model_sha256": written_sha256,
            "torch": torch.__version__,
        }
        if any(getattr(manifest, key) != value for key, value in wanted.items()):
            return False
    return True


def _sources(checkpoint: str, discriminators: str | None) -> tuple[Checkpoint, Checkpoint]:
    codec = resolve(checkpoint)
    if discriminators is not None:
        return codec, resolve(discriminators)
    return codec, codec if codec.has(DISCRIMINATORS_FILE) else resolve(DEFAULT_DISCRIMINATORS)


def build_codec(source: Checkpoint, report: Callable[[str], None]) -> Iterator[BuiltModel]:
    """Builds and verifies `encodec_encoder` and `encodec_decoder` of a checkpoint; writes nothing."""
    codec = load_codec(source, torch.device("cpu"))
    require_exportable(codec)
    facts: dict[str, Any] = {
        **_provenance(source, CODEC_FILE),
        "sample_rate": int(codec.sample_rate),
        "channels": int(codec.channels),
        "codebooks": int(codec.num_codebooks),
        "card": int(codec.cardinality),
        "frame_rate": int(codec.frame_rate),
        "hop_length": int(codec.encoder.hop_length),
    }
    waveform = TensorSpec("waveform", "FP32", (-1, facts["channels"], -1))
    codes = TensorSpec("codes", "INT32", (-1, facts["codebooks"], -1))
    for name, module, verified, given, result in (
        (ENCODEC_ENCODER, CodecEncoder(codec), verify.verify_encoder, waveform, codes),
        (ENCODEC_DECODER, CodecDecoder(codec), verify.verify_decoder, codes, waveform),
    ):
        written = archive.to_bytes(module)
        shapes = verified(codec, archive.from_bytes(written))
        _report_verified(name, written, shapes, report)
        facts |= {"model": name, "model_sha256": _sha256(written), "inputs": (given,), "outputs": (result,)}
        yield BuiltModel(written, CodecManifest(**facts))


def build_discriminators(source: Checkpoint, report: Callable[[str], None]) -> Iterator[BuiltModel]:
    """Builds and verifies `mpd`, `msd` and `msstftd` of a checkpoint; writes nothing."""
    eager, config = load_discriminators(source)
    provenance = _provenance(source, DISCRIMINATORS_FILE)
    sample_rate, window = int(config.sample_rate), int(config.window)
    for name in DISCRIMINATORS:
        module = WindowDiscriminator(eager[name])
        written = archive.to_bytes(module)
        shapes = verify.verify_discriminator(name, eager[name], archive.from_bytes(written), sample_rate, window)
        _report_verified(name, written, shapes, report)
        layout = feature_layout(name, module)
        parts, features = len(module.parts), layout[-1].offset + layout[-1].channels
        calibration = None if config.calibration is None else config.calibration[name]
        manifest = DiscriminatorManifest(
            **provenance,
            model=name,
            model_sha256=_sha256(written),
            sample_rate=sample_rate,
            channels=1,
            inputs=(TensorSpec("window", "FP32", (-1, 1, window)),),
            outputs=(
                TensorSpec("logits", "FP32", (-1, parts)),
                TensorSpec("feature_maps", "FP32", (-1, features)),
            ),
            window=window,
            parts=parts,
            features=features,
            feature_layout=layout,
            calibration=None
            if calibration is None
            else {"scale": float(calibration.scale), "bias": float(calibration.bias)},
        )
        yield BuiltModel(written, manifest)


def _report_verified(name: str, written: bytes, shapes: int, report: Callable[[str], None]) -> None:
    report(f"{name}: equal to eager for {shapes} shapes, {len(written) / 1e6:.1f} MB")


def _provenance(source: Checkpoint, filename: str) -> dict[str, str]:
    return {
        "checkpoint": source.name,
        "source_sha256": _files_sha256(*source.files(filename)),
        "exporter_sha256": _exporter_sha256(),
        "torch": torch.__version__,
    }


def install(built: list[BuiltModel], repository: Path) -> None:
    """Writes built models into a repository; replaces files only after all new ones are on disk next to them."""
    contents: dict[Path, bytes] = {}
    for model in built:
        folder = repository / model.manifest.model / "1"
        contents[folder / "model.pt"] = model.archive
        # The manifest follows its model: after an interruption in between, its hash doesn't fit and it is not current.
        contents[folder / "manifest.json"] = model.manifest.to_json().encode()
    with _staged(contents) as staged:
        for path, temporary in staged.items():
            os.replace(temporary, path)
    for folder in {path.parent for path in contents}:
        _sync(folder)


@contextmanager
def _staged(contents: dict[Path, bytes]) -> Iterator[dict[Path, Path]]:
    """Writes these contents to temporary files next to their paths; removes those left over at the end."""
    staged = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in contents}
    try:
        for path, temporary in staged.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(contents[path])
            _sync(temporary)
        yield staged
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exporter_sha256() -> str:
    """Hashes the code that determines what a model.pt does: changed code makes exported models out of date."""
    sources = [
        _PACKAGE / "scoring" / "discriminators.py",
        *sorted(_CODE.glob("*.py")),
    ]
    return _sha256(b"".join(source.read_bytes() for source in sources))


def _files_sha256(*paths: Path) -> str:
    """Hashes the files' contents, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
