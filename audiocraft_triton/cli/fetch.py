"""`audiocraft-triton fetch`: checkpoints from a hub into a folder for pods that have no network."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from audiocraft_triton.checkpoints.hub import fetch
from audiocraft_triton.checkpoints.lock import LOCK_FILE
from audiocraft_triton.checkpoints.precision import Precision

LICENCE = (
    "Meta publishes the weights of AudioCraft (facebook/musicgen-*, audiogen-*, multiband-diffusion, encodec_*) under "
    "CC-BY-NC 4.0: not for commercial use."
)


def run_fetch(
    names: list[str], out: Path, revision: str | None, lock: Path | None, lm: Precision, console: Console
) -> None:
    """Fetches, and says what to do with it.

    Raises:
        InvalidRequest, CheckpointError: see `audiocraft_triton.checkpoints.hub.fetch`.
    """
    fetch(names, out, revision=revision or "main", lock=lock, lm=lm, report=console.print)
    console.print(f"\n{out / LOCK_FILE} pins what was fetched: `--lock` with it fetches the same files elsewhere.")
    for name in names:
        console.print(f"AUDIOCRAFT_MUSICGEN_CHECKPOINT={out / name} serves it (AUDIOGEN for a model of sounds).")
    console.print(LICENCE)
