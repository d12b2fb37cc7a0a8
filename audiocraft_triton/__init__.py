"""NVIDIA Triton serving for Meta AudioCraft; in plain Python, its generation engine.

    from audiocraft_triton import Engine
    Engine("demo").generate("calm piano", duration=5)

Names are resolved on first use, so that what needs no torch imports without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from audiocraft_triton import mkl  # noqa: F401  (first: torch must not have multiplied anything before)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from audiocraft_triton.contract.errors import (
        Cancelled,
        CheckpointError,
        DeadlineExceeded,
        InvalidRequest,
        Overloaded,
    )
    from audiocraft_triton.engine.engine import Engine
    from audiocraft_triton.engine.handle import Audio, Chunk, GenerationHandle
    from audiocraft_triton.engine.request import GenerationRequest

_HOME = {
    "Audio": "engine.handle",
    "Cancelled": "contract.errors",
    "CheckpointError": "contract.errors",
    "Chunk": "engine.handle",
    "DeadlineExceeded": "contract.errors",
    "Engine": "engine.engine",
    "GenerationHandle": "engine.handle",
    "GenerationRequest": "engine.request",
    "InvalidRequest": "contract.errors",
    "Overloaded": "contract.errors",
}

__all__ = [
    "Audio",
    "Cancelled",
    "CheckpointError",
    "Chunk",
    "DeadlineExceeded",
    "Engine",
    "GenerationHandle",
    "GenerationRequest",
    "InvalidRequest",
    "Overloaded",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
