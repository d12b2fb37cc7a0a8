"""Settings of a served model: its config's parameters, each overridable by an environment variable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiocraft_triton.contract.models import STREAM_SUFFIX


class Settings:
    """Reads the `args` that Triton passes to `initialize`.

    AUDIOCRAFT_MUSICGEN_CHECKPOINT overrides the parameter `checkpoint` of the model `musicgen_stream`: names of
    variables use the model's public name, without `_stream`.

    Attributes:
        model: the model's name.
        public_name: the model's name without `_stream`, which callers use.
        repository: the model repository's folder.
        device: device of the instance, "cpu" or "cuda:<id>".
    """

    def __init__(self, args: Mapping[str, Any]) -> None:
        self.model: str = args["model_name"]
        self.public_name = self.model.removesuffix(STREAM_SUFFIX)
        self.repository = Path(args["model_repository"]).parent
        on_gpu = args["model_instance_kind"] == "GPU"
        self.device = f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu"
        self._parameters = json.loads(args["model_config"]).get("parameters", {})

    def get(self, key: str) -> str:
        """Returns a parameter's value; the environment variable's, if it is set."""
        variable = f"AUDIOCRAFT_{self.public_name}_{key}".upper()
        return os.environ.get(variable) or str(self._parameters[key]["string_value"])

    def flag(self, key: str) -> bool:
        """Tells whether a parameter's value is "true".

        Raises:
            ValueError: the value is neither "true" nor "false".
        """
        value = self.get(key)
        if value not in ("true", "false"):
            raise ValueError(f'{key}={value!r} of {self.model}: must be "true" or "false"')
        return value == "true"

    def chosen(self, key: str) -> str | None:
        """Returns a parameter's value, or None if it is "auto" and the engine decides."""
        value = self.get(key)
        return None if value == "auto" else value
