"""Reads the manifest that `export` wrote next to an exported model: rates, shapes, codebooks, calibration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audiocraft_triton.contract.errors import CheckpointError


def read_manifest(repository: Path, model: str) -> dict[str, Any]:
    """Returns the manifest of an exported model.

    Args:
        repository: the model repository's folder.
        model: `encodec_encoder`, `encodec_decoder`, `mpd`, `msd` or `msstftd`.

    Raises:
        CheckpointError: the model was not exported, or its manifest is damaged.
    """
    path = repository / model / "1" / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(
            f"{model} has not been exported ({path} is missing); run: audiocraft-triton export --checkpoint demo"
        ) from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return manifest
