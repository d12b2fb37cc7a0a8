"""What must be on disk before a server starts: the exported models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from audiocraft_triton.serving.repository import MODEL_REPOSITORY
from audiocraft_triton.torchscript.models import export_models, is_current

Report = Callable[[str], None]


def export_if_needed(
    checkpoint: str,
    repository: Path,
    discriminators: str | None = None,
    *,
    force: bool = False,
    report: Report = print,
) -> None:
    """Exports a checkpoint's models unless they are up to date; a folder without models becomes a copy of ours.

    Raises:
        CheckpointError: unknown, unsafe or unfit checkpoint; what was exported before stays.
    """
    is_new = not any(repository.glob("*/config.pbtxt"))
    if not force and is_current(checkpoint, repository, discriminators):
        report(f"the models exported from {checkpoint} are up to date")
    else:
        export_models(checkpoint, repository, discriminators=discriminators, report=report)
    if is_new:
        # Last, so that a checkpoint that can't be used leaves no folder. What is exported here is another checkpoint's.
        ignored = shutil.ignore_patterns("model.pt", "manifest.json", "__pycache__")
        shutil.copytree(MODEL_REPOSITORY, repository, ignore=ignored, dirs_exist_ok=True)
