"""`audiocraft-triton fetch`: checkpoints from a hub into a folder for pods that have no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiocraft_triton.cli.console import console, fail, stop_on_sigterm
from audiocraft_triton.cli.options import PRECISIONS, Precision
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest

if TYPE_CHECKING:
    from audiocraft_triton.checkpoints import precision

LICENCE = (
    "Meta publishes the weights of AudioCraft (facebook/musicgen-*, audiogen-*, multiband-diffusion, encodec_*) under "
    "CC-BY-NC 4.0: not for commercial use."
)


def fetch(
    names: Annotated[list[str], typer.Argument(help="Hub ids, such as facebook/musicgen-small.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints, each in <hub id>/, and the lock file.")],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit. Default: main; its commit goes into the lock file.")
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="A checkpoint.lock.json: fetch exactly its commits and checksums, or fail.")
    ] = None,
    lm: Annotated[Precision, typer.Option(help=f"Of the language model's weights. {PRECISIONS}")] = Precision.float32,
) -> None:
    """Downloads checkpoints at one commit, checks every sha256, and converts them: no hub and no pickle when serving.

    An interrupted download goes on where it was; what is there already is verified and kept. HF_TOKEN and HF_ENDPOINT
    are honoured.

    Example: audiocraft-triton fetch facebook/musicgen-small --out models
    """
    if revision is not None and lock is not None:
        fail("--revision and --lock exclude each other: the lock has the revisions", status=2)
    stop_on_sigterm()
    try:
        _fetch(names, out, revision, lock, lm.value)
    except InvalidRequest as error:
        fail(error, status=2)
    except CheckpointError as error:
        fail(error, status=1)
    except KeyboardInterrupt:
        fail("interrupted; run the same command again to resume", status=130)


def _fetch(names: list[str], out: Path, revision: str | None, lock: Path | None, lm: precision.Precision) -> None:
    from audiocraft_triton.checkpoints import hub
    from audiocraft_triton.checkpoints.lock import LOCK_FILE

    hub.fetch(names, out, revision=revision or "main", lock=lock, lm=lm, report=console.print)
    console.print(f"\n{out / LOCK_FILE} pins what was fetched: `--lock` with it fetches the same files elsewhere.")
    for name in names:
        console.print(f"AUDIOCRAFT_MUSICGEN_CHECKPOINT={out / name} serves it (AUDIOGEN for a model of sounds).")
    console.print(LICENCE)
