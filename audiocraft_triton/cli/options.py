"""Options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from audiocraft_triton.checkpoints.precision import EFFECTS
from audiocraft_triton.serving.repository import VARIABLE, default_repository

Repository = Annotated[
    Path,
    typer.Option(
        "--repository",
        help=f"The model repository's folder. {VARIABLE} is another way to name it.",
        default_factory=default_repository,
        show_default="model_repository of the checkout; of an installed package, a folder in your data",
    ),
]


class Precision(str, Enum):
    """As `audiocraft_triton.checkpoints.precision.Precision`; typer takes no Literal everywhere."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


PRECISIONS = "Its tokens are " + "; ".join(f"in {name} {effect}" for name, effect in EFFECTS.items()) + "."
"""What each precision of the language model changes, for help texts."""
