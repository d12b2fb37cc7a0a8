"""Generates music from text, as a stream."""

from audiocraft_triton.serving.adapters.generation_stream import GenerationStreamModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
