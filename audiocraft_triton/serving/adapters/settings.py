"""What a served model is told: its config's parameters, each overridable by an environment variable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiocraft_triton.contract.models import STREAM_SUFFIX


class Settings:
    """Reads the `args` that Triton passes to `initialize`.

    A parameter `checkpoint` of model `musicgen_stream` is overridden by AUDIOCRAFT_MUSICGEN_CHECKPOINT: the
    environment speaks of models as callers know them, without `_stream`.

    Attributes:
        model: the model's name.
        public_name: the same without `_stream`, as callers know it.
        repository: the model repository's folder.
        device: "cpu" or "cuda:<id>", as the instance was placed.
    """

    def __init__(self, args: Mapping[str, Any]) -> None:
        self.model: str = args["model_name"]
        self.public_name = self.model.removesuffix(STREAM_SUFFIX)
        self.repository = Path(args["model_repository"]).parent
        on_gpu = args["model_instance_kind"] == "GPU"
        self.device = f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu"
        self._parameters = json.loads(args["model_config"]).get("parameters", {})

    def get(self, key: str) -> str:
        """A parameter's value; the environment's, where it is set."""
        variable = f"AUDIOCRAFT_{self.public_name}_{key}".upper()
        return os.environ.get(variable) or str(self._parameters[key]["string_value"])

    def flag(self, key: str) -> bool:
        """Whether a parameter's value is "true".

        Raises:
            ValueError: it is neither "true" nor "false".
        """
        value = self.get(key)
        if value not in ("true", "false"):
            raise ValueError(f'{key}={value!r} of {self.model}: must be "true" or "false"')
        return value == "true"

    def chosen(self, key: str) -> str | None:
        """A parameter's value; None where it is "auto", and the engine decides."""
        value = self.get(key)
        return None if value == "auto" else value
