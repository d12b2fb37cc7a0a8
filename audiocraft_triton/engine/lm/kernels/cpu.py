"""A step's operations on a CPU, in plain torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.engine.lm.kernels import EPSILON
from audiocraft_triton.engine.lm.weights import Norm


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
    """Implements `StepOperations`; reads lengths on the host, so that little more of a cache is touched than is filled.

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
