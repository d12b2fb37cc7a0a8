"""What must be on disk before a server starts: the demo checkpoints and the exported models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.checkpoints import DEMO_CHECKPOINTS, demo_directory
from export.models import export_models, is_current
from export.seeded_checkpoint import demo_checkpoints_exist, make_seeded_checkpoints

Report = Callable[[str], None]


def export_if_needed(
    checkpoint: str,
    repository: Path,
    discriminators: str | None = None,
    *,
    force: bool = False,
    report: Report = print,
) -> None:
    """Exports a checkpoint's models unless they are up to date; builds the demo checkpoints where they are missing.

    Raises:
        CheckpointError: unknown, unsafe or unfit checkpoint; what was exported before stays.
    """
    if not demo_checkpoints_exist():
        if checkpoint in DEMO_CHECKPOINTS:
            report(f"building the demo checkpoints in {demo_directory()}")
        make_seeded_checkpoints(demo_directory(), report=report)
    if not force and is_current(checkpoint, repository, discriminators):
        report(f"the models exported from {checkpoint} are up to date")
        return
    export_models(checkpoint, repository, discriminators=discriminators, report=report)
