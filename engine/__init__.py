"""The audio-LM generation engine: torch and audiocraft, no Triton.

    from engine import Engine
    Engine("demo").generate("calm piano", duration=5)

Names are resolved on first use, so that what needs no torch (errors, requests, files) imports without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.errors import Cancelled, CheckpointError, DeadlineExceeded, InvalidInput, Overloaded
    from engine.generation import Audio, Chunk, Generation
    from engine.request import GenerationRequest

_HOME = {
    "Audio": "engine.generation",
    "Cancelled": "engine.errors",
    "CheckpointError": "engine.errors",
    "Chunk": "engine.generation",
    "DeadlineExceeded": "engine.errors",
    "Engine": "engine.engine",
    "Generation": "engine.generation",
    "GenerationRequest": "engine.request",
    "InvalidInput": "engine.errors",
    "Overloaded": "engine.errors",
}

__all__ = [
    "Audio",
    "Cancelled",
    "CheckpointError",
    "Chunk",
    "DeadlineExceeded",
    "Engine",
    "Generation",
    "GenerationRequest",
    "InvalidInput",
    "Overloaded",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
