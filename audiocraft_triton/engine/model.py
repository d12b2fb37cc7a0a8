"""The model of a checkpoint: the language model regrouped for decoding, its conditioners, and its codec."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from audiocraft_triton.audio.files import Waveform
from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import load_codec, load_lm
from audiocraft_triton.checkpoints.upstream import (
    CompressionModel,
    DelayedPatternProvider,
    LMModel,
    get_wrapped_compression_model,
)
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.engine.conditioning.conditioner import Conditioner
from audiocraft_triton.engine.lm.delay_pattern import DelayPattern
from audiocraft_triton.engine.lm.kernels import operations_of
from audiocraft_triton.engine.lm.memory import MAX_CONDITION_LENGTH, slot_bytes
from audiocraft_triton.engine.lm.slots import Conditions
from audiocraft_triton.engine.lm.transformer import DecoderTransformer
from audiocraft_triton.engine.lm.weights import regrouped
from audiocraft_triton.engine.request import GenerationRequest
from audiocraft_triton.engine.scheduling.windows import Window

# MusicGen was trained on 30 seconds and moves its window by 18; AudioGen on 10 seconds, by 2: upstream's constants.
LONG_STRIDE_SECONDS = 18
SHORT_STRIDE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class GenerativeModel:
    """A loaded MusicGen or AudioGen.

    Attributes:
        name: the checkpoint's name, as given.
        transformer: the LM's layers and heads.
        conditioner: converts text and melody to the vectors that the LM attends to.
        pattern: interleaving of the codebooks.
        codec: converts tokens to sound and back.
        max_duration: the LM's window in seconds.
        window: the LM's window in frames.
        stride: frames by which the window moves for longer clips.
    """

    name: str
    transformer: DecoderTransformer
    conditioner: Conditioner
    pattern: DelayPattern
    codec: CompressionModel
    max_duration: float
    window: int
    stride: int

    @classmethod
    def load(cls, checkpoint: str, device: torch.device, dtype: torch.dtype) -> GenerativeModel:
        """Loads a checkpoint by name.

        Raises:
            CheckpointError: the checkpoint is missing, unsafe, or of an architecture that the engine does not support.
        """
        source = resolve(checkpoint)
        lm = load_lm(source, device)
        codec = get_wrapped_compression_model(load_codec(source, device), lm.cfg)
        max_duration = float(lm.cfg.dataset.segment_duration)
        stride = LONG_STRIDE_SECONDS if max_duration > LONG_STRIDE_SECONDS else SHORT_STRIDE_SECONDS
        pattern = _delay_pattern(lm)
        conditioner = Conditioner(lm)
        window = int(max_duration * codec.frame_rate)
        prefix = MAX_CONDITION_LENGTH if conditioner.prepends else 0
        weights = regrouped(lm, dtype, prefix + pattern.columns(window))
        transformer = DecoderTransformer(weights, operations_of(device, dtype))
        _forget_layers(lm)
        return cls(
            source.name, transformer, conditioner, pattern, codec, max_duration, window, int(stride * codec.frame_rate)
        )

    @property
    def columns(self) -> int:
        """Most columns of one window."""
        return int(self.pattern.columns(self.window))

    @property
    def prefix(self) -> int:
        """Most positions that conditions take before the first column."""
        return MAX_CONDITION_LENGTH if self.conditioner.prepends else 0

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot's KV cache."""
        weights = self.transformer.weights
        return slot_bytes(
            len(weights.layers), weights.dim, self.prefix + self.columns,
            itemsize=weights.dtype.itemsize, cross_attention=weights.cross_key_value is not None,
        )  # fmt: skip

    @property
    def samples_per_frame(self) -> int:
        """Samples that one frame decodes to."""
        samples: float = self.codec.sample_rate / self.codec.frame_rate
        return round(samples)

    def frames_of(self, waveform: Waveform) -> int:
        """Returns the number of frames of a prompt."""
        frames: float = waveform.shape[-1] * self.codec.frame_rate / self.codec.sample_rate
        return math.ceil(frames)

    @torch.inference_mode()
    def encode(self, waveform: Waveform | None) -> torch.Tensor:
        """Encodes a prompt, float32 [channels, samples] or None, to tokens, int64 [codebooks, frames] on the CPU."""
        if waveform is None:
            return torch.zeros((self.transformer.weights.codebooks, 0), dtype=torch.int64)
        codes, _scale = self.codec.encode(torch.from_numpy(waveform)[None].to(self.transformer.device))
        tokens: torch.Tensor = codes[0].cpu()
        return tokens

    def condition(self, request: GenerationRequest, window: Window, of_several: bool) -> Conditions:
        """Returns the conditions of one window of a request.

        Raises:
            InvalidRequest: the text has too many tokens.
        """
        melody = None if request.melody is None else torch.from_numpy(request.melody)
        if melody is not None and of_several:
            # As in upstream, the melody is repeated as often as needed, and each window gets its own part of it.
            start = int(window.offset / self.codec.frame_rate * self.codec.sample_rate)
            positions = torch.arange(start, start + int(self.max_duration * self.codec.sample_rate))
            melody = melody[..., positions % melody.shape[-1]]
        return self.conditioner(request.text, melody, self.codec.sample_rate)


def _delay_pattern(lm: LMModel) -> DelayPattern:
    provider = lm.pattern_provider
    if not isinstance(provider, DelayedPatternProvider) or provider.flatten_first or provider.empty_initial:
        raise CheckpointError(
            f"this language model interleaves codebooks by a {type(provider).__name__} that is not a plain delay: "
            "the engine does not support it"
        )
    return DelayPattern(provider.delays, lm.special_token_id)


def _forget_layers(lm: LMModel) -> None:
    """Frees the layers that were regrouped; the conditioners stay."""
    del lm.transformer, lm.emb, lm.linears, lm.out_norm
