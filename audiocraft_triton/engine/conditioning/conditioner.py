"""Converts a request's text and melody, by audiocraft's conditioners, to vectors that the language model attends to.

Each request is conditioned alone, because upstream pads the texts of a batch to one length and lets attention see the
padding. A GPU's captured text encoder rounds differently from upstream's (see `captured_text`).
"""

from __future__ import annotations

from typing import Any

import torch

from audiocraft_triton.checkpoints.upstream import (
    ClassifierFreeGuidanceDropout,
    ConditioningAttributes,
    LMModel,
    T5Conditioner,
    WavCondition,
    create_sin_embedding,
)
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from audiocraft_triton.engine.conditioning.captured_text import CapturedTextEncoder
from audiocraft_triton.engine.lm.memory import MAX_CONDITION_LENGTH
from audiocraft_triton.engine.lm.slots import Conditions

TEXT = "description"
MELODY = "self_wav"


class Conditioner:
    """Runs an LM's conditioners.

    Raises:
        CheckpointError: the LM needs conditions that no request has, or fuses them in a way that is not supported.
    """

    def __init__(self, lm: LMModel) -> None:
        self._provider = lm.condition_provider
        self._fuser = lm.fuser
        self._dim = lm.dim
        self._device = lm.linears[0].weight.device
        self._captured: CapturedTextEncoder | None = None
        unknown = set(self._provider.conditioners) - {TEXT, MELODY}
        if unknown:
            raise CheckpointError(f"this language model needs conditions that no request has: {', '.join(unknown)}")
        for method in ("sum", "input_interpolate"):
            if self._fuser.fuse2cond.get(method):
                raise CheckpointError(f"this language model fuses conditions by {method!r}, which is not supported")

    def capture(self, stream: torch.cuda.Stream) -> None:
        """Makes conditioning fast on a GPU, if the LM is conditioned on text alone."""
        text = dict(self._provider.conditioners.items()).get(TEXT)
        if isinstance(text, T5Conditioner) and not (self.takes_melody or self.prepends):
            self._captured = CapturedTextEncoder(text, stream)

    @property
    def takes_melody(self) -> bool:
        """Whether requests may have a melody."""
        return MELODY in self._provider.conditioners

    @property
    def prepends(self) -> bool:
        """Whether conditions take positions before the first column."""
        return bool(self._fuser.fuse2cond.get("prepend"))

    def __call__(self, text: str, melody: torch.Tensor | None, sample_rate: int) -> Conditions:
        """Conditions one window of one request.

        Args:
            text: may be empty.
            melody: float32 [channels, samples] at `sample_rate`, or None.

        Raises:
            InvalidRequest: the text has too many tokens.
        """
        if self._captured is not None:
            return self._captured_conditions(text)
        attributes = ConditioningAttributes(text={TEXT: text})
        if self.takes_melody:
            attributes.wav[MELODY] = self._wav_condition(melody, sample_rate)
        null = ClassifierFreeGuidanceDropout(p=1.0)([attributes])
        # As in upstream's generation on a GPU, weights are float32 and matrix products half precision.
        with torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda"):
            tensors = self._provider(self._provider.tokenize([attributes, *null]))
        cross: list[torch.Tensor] = []
        prepended: list[torch.Tensor] = []
        for name, (vectors, _mask) in tensors.items():
            if self._fuser.cond2fuse[name] == "cross":
                cross.append(vectors)
            else:
                prepended.insert(0, vectors)  # upstream prepends each to those before it
        conditions = Conditions(self._with_positions(_joined(cross)), _joined(prepended))
        for vectors in (conditions.cross, conditions.prepended):
            if vectors is not None:
                _check_length(text, vectors.shape[1])
        return conditions

    def _captured_conditions(self, text: str) -> Conditions:
        assert self._captured is not None
        inputs = self._captured.tokenize(text)
        _check_length(text, inputs["input_ids"].shape[1])
        vectors = self._captured(inputs)
        # The vectors of an empty text are zeros: T5's conditioner multiplies them by 0.
        return Conditions(self._with_positions(torch.cat([vectors, torch.zeros_like(vectors)])), None)

    def _wav_condition(self, melody: torch.Tensor | None, sample_rate: int) -> Any:
        if melody is None:  # upstream's encoding of an absent melody
            nothing = torch.zeros((1, 1, 1), device=self._device)
            return WavCondition(nothing, torch.tensor([0], device=self._device), [sample_rate], [None])
        length = torch.tensor([melody.shape[-1]], device=self._device)
        return WavCondition(melody[None].to(self._device), length, [sample_rate], [None])

    def _with_positions(self, cross: torch.Tensor | None) -> torch.Tensor | None:
        if cross is None or not self._fuser.cross_attention_pos_emb:
            return cross
        positions = torch.arange(cross.shape[1], device=cross.device).view(1, -1, 1)
        embedding: torch.Tensor = create_sin_embedding(positions, self._dim)
        return cross + float(self._fuser.cross_attention_pos_emb_scale) * embedding


def _check_length(text: str, tokens: int) -> None:
    if tokens > MAX_CONDITION_LENGTH:
        raise InvalidRequest("text", text, f"has {tokens:,} tokens, at most {MAX_CONDITION_LENGTH:,} are allowed")


def _joined(conditions: list[torch.Tensor]) -> torch.Tensor | None:
    return torch.cat(conditions, dim=1) if conditions else None
