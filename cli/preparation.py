"""What must be on disk before a server starts: the demo checkpoints and the exported models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.checkpoints import demo_directory
from export.models import export_models, is_current
from export.seeded_checkpoint import make_seeded_checkpoints

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
    if not demo_directory().exists():
        _build_demo_checkpoints(demo_directory(), report)
    if not force and is_current(checkpoint, repository, discriminators):
        report(f"the models exported from {checkpoint} are up to date")
        return
    export_models(checkpoint, repository, discriminators=discriminators, report=report)


def _build_demo_checkpoints(directory: Path, report: Report) -> None:
    """All or nothing: what is there, complete or not, is somebody's and is never written over."""
    report(f"building the demo checkpoints in {directory}")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        built = Path(scratch) / directory.name
        make_seeded_checkpoints(built, report=lambda _line: None)
        built.rename(directory)
