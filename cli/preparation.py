"""What must be on disk before a server starts: the exported models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from export.models import export_models, is_current
from serving.server import MODEL_REPOSITORY

Report = Callable[[str], None]


def export_if_needed(
    checkpoint: str,
    repository: Path,
    discriminators: str | None = None,
    *,
    force: bool = False,
    report: Report = print,
) -> None:
    """Exports a checkpoint's models unless they are up to date; a repository that isn't there becomes a copy of ours.

    Raises:
        CheckpointError: unknown, unsafe or unfit checkpoint; what was exported before stays.
    """
    if not repository.exists():
        # Exported models are another checkpoint's: only what is written by hand goes along.
        shutil.copytree(
            MODEL_REPOSITORY, repository, ignore=shutil.ignore_patterns("model.pt", "manifest.json", "__pycache__")
        )
    if not force and is_current(checkpoint, repository, discriminators):
        report(f"the models exported from {checkpoint} are up to date")
        return
    export_models(checkpoint, repository, discriminators=discriminators, report=report)
