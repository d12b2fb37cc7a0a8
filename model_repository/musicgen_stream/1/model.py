"""Text to music, streamed."""

from adapters.generation_stream import GenerationStreamModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
