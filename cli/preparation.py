"""What must be on disk before a server starts: the exported models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from export.models import export_models, is_current

Report = Callable[[str], None]


def export_if_needed(
    checkpoint: str,
    repository: Path,
    discriminators: str | None = None,
    *,
    force: bool = False,
    report: Report = print,
) -> None:
    """Exports a checkpoint's models unless they are up to date.

    Raises:
        CheckpointError: unknown, unsafe or unfit checkpoint; what was exported before stays.
    """
    if not force and is_current(checkpoint, repository, discriminators):
        report(f"the models exported from {checkpoint} are up to date")
        return
    export_models(checkpoint, repository, discriminators=discriminators, report=report)
