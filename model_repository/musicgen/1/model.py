"""Generates music from text, in one response."""

from audiocraft_triton.serving.adapters.generation_unary import GenerationUnaryModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
