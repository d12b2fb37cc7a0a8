"""The operations of a step with attention one row at a time, so that no other row changes a row's bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from audiocraft_triton.engine.lm.kernels import StepOperations
from audiocraft_triton.engine.lm.weights import Norm


class RowByRowOperations:
    """Implements `StepOperations`; it calls the attention of other operations with one row at a time.

    Args:
        operations: the operations to call.
    """

    def __init__(self, operations: StepOperations) -> None:
        self._operations = operations

    def capacity(self, positions: int) -> int:
        return self._operations.capacity(positions)

    def spans(self, lengths: torch.Tensor) -> list[Any]:
        return [self._operations.spans(length) for length in lengths[:, None]]

    def add_and_norm(self, residual: torch.Tensor, update: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        return self._operations.add_and_norm(residual, update, norm)

    def append(self, qkv: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: list[Any]) -> torch.Tensor:
        return _row_by_row(self._operations.append, qkv, keys, values, spans)

    def attend(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: list[Any]) -> torch.Tensor:
        return _row_by_row(self._operations.attend, query, keys, values, spans)


def _row_by_row(
    attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Any], torch.Tensor],
    new: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    spans: list[Any],
) -> torch.Tensor:
    attended = []
    for index, span in enumerate(spans):
        row = slice(index, index + 1)
        # The copy begins at an aligned address, whatever the row's place; caches always do.
        attended.append(attend(new[row].clone(), keys[row], values[row], span))
    return torch.cat(attended)
