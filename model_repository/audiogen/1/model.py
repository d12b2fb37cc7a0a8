"""Text to sound, one response."""

from adapters.generation_unary import GenerationUnaryModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
