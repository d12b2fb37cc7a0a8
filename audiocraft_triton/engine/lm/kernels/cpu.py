"""The operations of a step that differ between devices: plain torch here, fused kernels in `gpu_kernels`.

Caches have the shape [rows, positions, heads, head_dim]; a row is one sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.engine.lm.transformer import EPSILON, Norm


class StepOperations(Protocol):
    """What a step needs for one new position in each of R rows.

    `Spans` is whatever an implementation makes of the rows' lengths, once a step, for all layers.
    """

    def capacity(self, positions: int) -> int:
        """How many positions a cache must have room for, so that rows may fill so many."""

    def spans(self, lengths: torch.Tensor) -> Any:
        """int64 [R]: how many positions each row attends over; a row of length 0 is idle, its output means nothing."""

    def add_and_norm(self, residual: torch.Tensor, update: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        """residual (float32 [R, dim]) += update, in place; returns its layer norm in the compute dtype."""

    def append(self, qkv: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: Any) -> torch.Tensor:
        """Writes each row's new key and value at the last position of its span, then attends over the span.

        Args:
            qkv: [R, 3, heads, head_dim], packed.
            keys, values: caches of R rows.

        Returns:
            [R, heads · head_dim]
        """

    def attend(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: Any) -> torch.Tensor:
        """Attends over each row's span: query [R, heads, head_dim] -> [R, heads · head_dim]."""


@dataclass(frozen=True, slots=True)
class TorchSpans:
    """Attributes: rows and last address each row's last position; read bounds all; mask hides what is beyond each."""

    rows: torch.Tensor
    last: torch.Tensor
    read: int
    mask: torch.Tensor


_BLOCK = 64
"""Cache positions are read in multiples of it: behind the last whole vector torch sums up in another order."""


class TorchOperations:
    """Plain torch, for the CPU: reads lengths on the host, so that little more of a cache is touched than is filled.

    A row's result has the same bits whoever the others are.

    Args:
        dtype: of activations.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def capacity(self, positions: int) -> int:
        return -(-positions // _BLOCK) * _BLOCK

    def spans(self, lengths: torch.Tensor) -> TorchSpans:
        lengths = lengths.clamp(min=1)
        read = self.capacity(int(lengths.max()))
        mask = (torch.arange(read, device=lengths.device) < lengths[:, None])[:, None, None]
        return TorchSpans(torch.arange(len(lengths), device=lengths.device), lengths - 1, read, mask)

    def add_and_norm(self, residual: torch.Tensor, update: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        if update is not None:
            residual.add_(update)
        return F.layer_norm(residual, residual.shape[-1:], norm.weight, norm.bias, EPSILON).to(self._dtype)

    def append(self, qkv: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: TorchSpans) -> torch.Tensor:
        query, key, value = qkv.unbind(dim=1)
        keys[spans.rows, spans.last] = key
        values[spans.rows, spans.last] = value
        return self.attend(query, keys, values, spans)

    def attend(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: TorchSpans) -> torch.Tensor:
        keys, values = (cache[:, : spans.read].transpose(1, 2) for cache in (keys, values))
        attended = F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=spans.mask)
        return attended.flatten(1)
