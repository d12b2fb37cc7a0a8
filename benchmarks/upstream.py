"""Names from audiocraft and transformers that contenders use; the other modules import them from here."""

from audiocraft_triton.checkpoints import upstream  # noqa: F401, I001  (first: makes the imports below work)

from audiocraft.models import MusicGen
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    T5Tokenizer,
)
from transformers.utils import logging

__all__ = [
    "EncodecConfig",
    "MusicGen",
    "MusicgenConfig",
    "MusicgenDecoderConfig",
    "MusicgenForConditionalGeneration",
    "T5Config",
    "T5Tokenizer",
    "logging",
]
