"""Checks of what is served: the demo checkpoints and the exported models."""

from __future__ import annotations

from pathlib import Path

from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DEMO_CHECKPOINTS,
    DIFFUSION_FILE,
    DISCRIMINATORS_FILE,
    LM_FILE,
    resolve,
)
from audiocraft_triton.cli.doctor.finding import Finding, Verdict
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.torchscript.exported import read_manifest

_FILES = {
    "demo": (LM_FILE, CODEC_FILE, DIFFUSION_FILE, DISCRIMINATORS_FILE),
    "demo-sound": (LM_FILE, CODEC_FILE),
}


def check_demo_checkpoints() -> Finding:
    """The weights that come with the package."""
    absent = []
    for name in DEMO_CHECKPOINTS:
        try:
            checkpoint = resolve(name)
        except CheckpointError as error:
            return Finding("demo checkpoints", "none", Verdict.missing, str(error))
        absent += [f"{filename} of {name}" for filename in _FILES[name] if not checkpoint.has(filename)]
    if absent:
        return Finding("demo checkpoints", f"no {', '.join(absent)}", Verdict.missing, "install the package again")
    return Finding("demo checkpoints", ", ".join(DEMO_CHECKPOINTS))


def check_exported_models(repository: Path, is_default: bool) -> Finding:
    """The TorchScript models in a repository: present, and what this code would write.

    Args:
        repository: its folder.
        is_default: whether `serve` exports what is missing there by itself.
    """
    try:
        codec = str(read_manifest(repository, "encodec_encoder")["checkpoint"])
        discriminators = str(read_manifest(repository, "mpd")["checkpoint"])
    except CheckpointError as error:
        if is_default:
            return Finding("exported models", f"none yet in {repository}: the first serve or demo exports them")
        return Finding("exported models", f"none in {repository}", Verdict.missing, str(error), blocks=True)
    command = f"audiocraft-triton export --checkpoint {codec} --discriminators {discriminators}"
    found = f"of {codec}, discriminators of {discriminators}, in {repository}"
    try:
        from audiocraft_triton.torchscript.models import is_current

        current = is_current(codec, repository, discriminators)
    except CheckpointError as error:
        return Finding("exported models", f"{found}; they can't be compared: {error}", Verdict.wrong, command)
    except ImportError:
        return Finding("exported models", f"{found}; not compared, for that needs audiocraft")
    if current:
        return Finding("exported models", found)
    return Finding("exported models", f"{found}; out of date", Verdict.wrong, f"{command} --repository {repository}")
