"""Prepares a model repository with the exported models before a server starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.serving.repository import default_repository, fill_repository
from audiocraft_triton.torchscript.exported import read_manifest

Report = Callable[[str], None]
DEMO = "demo"


def export_if_needed(
    checkpoint: str,
    repository: Path,
    discriminators: str | None = None,
    *,
    force: bool = False,
    report: Report = print,
) -> None:
    """Exports a checkpoint's models unless they are up to date, and fills the folder with the other models' files.

    Raises:
        CheckpointError: the checkpoint is unknown, unsafe or unfit; models exported before are kept.
    """
    from audiocraft_triton.torchscript.models import export_models, is_current

    if not force and is_current(checkpoint, repository, discriminators):
        report(f"the models exported from {checkpoint} are up to date")
    else:
        export_models(checkpoint, repository, discriminators=discriminators, report=report)
    fill_repository(repository)  # last, so that a checkpoint that can't be used leaves no folder


def prepare_to_serve(repository: Path) -> None:
    """Updates the demo's models in the default repository, unless another checkpoint was exported into it.

    Any other repository is left unchanged. A child process exports, so that the memory it takes is free when the server
    starts.

    Raises:
        CheckpointError: the export failed; the reason is on stderr.
    """
    if repository != default_repository():
        return
    fill_repository(repository)
    if not exported_checkpoints(repository) <= {DEMO}:
        return
    command = [sys.executable, "-m", "audiocraft_triton", "export", "--repository", str(repository)]
    status = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    if status:
        raise CheckpointError(f"exporting the demo's models ended with status {status}")


def exported_checkpoints(repository: Path) -> set[str]:
    """Returns the names of the checkpoints whose models are in a repository; ignores damaged manifests."""
    found = set()
    for path in repository.glob("*/1/manifest.json"):
        with suppress(CheckpointError):
            found.add(str(read_manifest(repository, path.parents[1].name).get("checkpoint")))
    return found
