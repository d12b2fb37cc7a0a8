"""Where the model repository lies."""

from __future__ import annotations

from pathlib import Path

MODEL_REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
