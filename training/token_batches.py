"""Batches of codes and captions, drawn on the device so that no step waits for data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from audiocraft_triton.contract.errors import InvalidRequest
from training.tokens import TokenSplit

TEXT_LENGTH_STEP = 8  # tensor cores are faster at multiples of 8


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The input of one step of the language model.

    Attributes:
        codes: int64 [batch, codebooks, frames]; after a clip's end, the special token `card`.
        text: `input_ids` and `attention_mask`, int64 [batch, tokens].
        described: bool [batch, 1, 1]; False where the caption must be ignored, for classifier-free guidance.
    """

    codes: torch.Tensor
    text: Mapping[str, torch.Tensor]
    described: torch.Tensor


class TokenBatches:
    """Draws batches from the clips of a split, which it keeps on the device.

    Args:
        split: the clips.
        tokenizer: for their captions.
        frames: length of the drawn clips.
        device: holds all codes and captions.

    Raises:
        InvalidRequest: the clips have fewer frames.
    """

    def __init__(self, split: TokenSplit, tokenizer: Any, frames: int, device: torch.device) -> None:
        if split.codes.shape[-1] < frames:
            raise InvalidRequest(
                "tokens", split.codes.shape[-1], f"frames a clip: must be at least {frames}, one segment of the recipe"
            )
        self._frames = frames
        self._card = split.card
        self._codes = split.codes.to(device)
        self._captions = torch.tensor([len(captions) for captions in split.captions], device=device)
        self._first_caption = self._captions.cumsum(0) - self._captions
        captions = [caption for captions in split.captions for caption in captions]
        text = tokenizer(captions, padding=True, pad_to_multiple_of=TEXT_LENGTH_STEP, return_tensors="pt")
        self._text = {name: text[name].to(device) for name in ("input_ids", "attention_mask")}

    def draw(self, batch: int, cut_share: float, text_dropout: float) -> TokenBatch:
        """Draws random clips, each with one of its captions, from the device's torch generator.

        Args:
            batch: number of clips.
            cut_share: share of clips that start somewhere in their middle, as a continuation of audio does; at least
                half a segment of such a clip remains.
            text_dropout: share of clips without their caption.
        """
        device = self._codes.device
        clips = torch.randint(len(self._codes), (batch,), device=device)
        last = max(1, self._codes.shape[-1] - self._frames // 2)
        cut = torch.rand(batch, device=device) < cut_share
        starts = torch.randint(1, last + 1, (batch,), device=device) * cut
        # float64, because a float32 just below 1 times the number of captions may round up past the last one
        share = torch.rand(batch, dtype=torch.float64, device=device)
        rows = self._first_caption[clips] + (share * self._captions[clips]).long()
        described = torch.rand(batch, 1, 1, device=device) >= text_dropout
        return self._batch(clips, starts, rows, described)

    def in_order(self, batch: int) -> Iterator[TokenBatch]:
        """Yields every clip once, from its beginning, with its main caption."""
        for clips in torch.split(torch.arange(len(self._codes), device=self._codes.device), batch):
            described = torch.ones(len(clips), 1, 1, dtype=torch.bool, device=clips.device)
            yield self._batch(clips, torch.zeros_like(clips), self._first_caption[clips], described)

    def _batch(
        self, clips: torch.Tensor, starts: torch.Tensor, rows: torch.Tensor, described: torch.Tensor
    ) -> TokenBatch:
        length = self._codes.shape[-1]
        times = starts[:, None, None] + torch.arange(self._frames, device=starts.device)
        books = torch.arange(self._codes.shape[1], device=starts.device)[:, None]
        codes = self._codes[clips[:, None, None], books, times.clamp(max=length - 1)].long()
        codes = torch.where(times < length, codes, self._card)
        return TokenBatch(codes, {name: values[rows] for name, values in self._text.items()}, described)
