"""The audio-LM generation engine: torch and audiocraft, no Triton.

    from engine import Engine
    Engine("demo").generate("calm piano", duration=5)

Names are resolved on first use, so that what needs no torch (errors, requests, files) imports without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.engine import Chunk, Engine, Generation
    from engine.errors import CheckpointError, InvalidInput, Overloaded
    from engine.request import GenerationRequest

_HOME = {
    "CheckpointError": "engine.errors",
    "Chunk": "engine.engine",
    "Engine": "engine.engine",
    "Generation": "engine.engine",
    "GenerationRequest": "engine.request",
    "InvalidInput": "engine.errors",
    "Overloaded": "engine.errors",
}

__all__ = [
    "CheckpointError",
    "Chunk",
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
