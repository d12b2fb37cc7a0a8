"""The operations of a step on a CPU, in plain torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.engine.lm.kernels import EPSILON
from audiocraft_triton.engine.lm.weights import Norm

_BLOCK = 64
"""Cache positions are read in multiples of it, since torch adds in another order after the last whole vector."""


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent rows that read equally far into their caches.

    Attributes:
        rows: the rows' range.
        read: number of cache positions that they read.
        mask: [rows, 1, 1, read], 0 within each row's span and -inf beyond it.
    """

    rows: slice
    read: int
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class TorchSpans:
    """The rows' spans.

    Attributes:
        rows, last: indices of each row's last position.
        runs: all rows, in order.
    """

    rows: torch.Tensor
    last: torch.Tensor
    runs: tuple[Run, ...]


class TorchOperations:
    """Implements `StepOperations`. It reads lengths on the host, to touch little more of a cache than is filled.

    Rows that read equally far attend in one call. In it, each head of each row is a task of its own, and the shapes of
    its products depend on its own span alone. Whether the libraries give a task the same bits in every thread, and a
    product the same bits with any number of rows, is checked at load (`row_independence`).

    Args:
        dtype: dtype of activations.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def capacity(self, positions: int) -> int:
        return -(-positions // _BLOCK) * _BLOCK

    def spans(self, lengths: torch.Tensor) -> TorchSpans:
        reads = [self.capacity(length) for length in lengths.tolist()]
        last = (lengths - 1).clamp_(min=0)
        beyond = torch.arange(max(_BLOCK, *reads), device=lengths.device) > last[:, None]
        mask = torch.zeros(beyond.shape, device=lengths.device, dtype=self._dtype)
        mask = mask.masked_fill_(beyond, -torch.inf)[:, None, None]
        runs = tuple(Run(rows, read, mask[rows, ..., :read]) for rows, read in _runs(reads))
        return TorchSpans(torch.arange(len(reads), device=lengths.device), last, runs)

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
        attended = []
        for run in spans.runs:
            key, value = (cache[run.rows, : run.read].transpose(1, 2) for cache in (keys, values))
            attended.append(F.scaled_dot_product_attention(query[run.rows, :, None], key, value, attn_mask=run.mask))
        return (attended[0] if len(attended) == 1 else torch.cat(attended)).flatten(1)


def _runs(reads: list[int]) -> Iterator[tuple[slice, int]]:
    """Joins adjacent rows with equal reads; a row of 0 is idle, and joins the rows before it."""

    def own_or_before(before: int, own: int) -> int:
        return own or before

    start = 0
    for read, rows in groupby(accumulate(reads, own_or_before)):
        stop = start + sum(1 for _ in rows)
        yield slice(start, stop), max(read, _BLOCK)
        start = stop
