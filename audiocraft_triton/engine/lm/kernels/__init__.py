"""The operations of a step that differ between devices: plain torch on a CPU, fused kernels on a GPU.

Caches have the shape [rows, positions, heads, head_dim]; a row is one sequence.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

from audiocraft_triton.engine.lm.weights import Norm

EPSILON = 1e-5
"""Epsilon of every layer norm, which is fixed in audiocraft."""


class StepOperations(Protocol):
    """The operations of a step for one new position in each of R rows.

    An implementation converts the rows' lengths to `spans` of its own type, once per step, for all layers.
    """

    def capacity(self, positions: int) -> int:
        """Returns how many positions a cache must hold, so that rows can fill `positions` of them."""

    def spans(self, lengths: torch.Tensor) -> Any:
        """Converts int64 [R], how many positions each row attends over. A row of 0 is idle, its output undefined."""

    def add_and_norm(self, residual: torch.Tensor, update: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        """Adds update to residual (float32 [R, dim]) in place; returns its layer norm in the compute dtype."""

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


def operations_of(device: torch.device, dtype: torch.dtype) -> StepOperations:
    """Returns the operations for a device, with activations of `dtype`."""
    if device.type == "cuda":
        # This import needs the Triton language, which comes with CUDA builds of torch.
        from audiocraft_triton.engine.lm.kernels.cuda import GpuOperations

        return GpuOperations(dtype)
    from audiocraft_triton.engine.lm.kernels.cpu import TorchOperations

    return TorchOperations(dtype)
