"""The operations of a step that differ between devices: plain torch for a CPU, fused kernels for a GPU.

Caches have the shape [rows, positions, heads, head_dim]; a row is one sequence.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

from audiocraft_triton.engine.lm.weights import Norm

EPSILON = 1e-5
"""Of every layer norm; audiocraft fixes it."""


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


def operations_of(device: torch.device, dtype: torch.dtype) -> StepOperations:
    """The operations for a device, with activations of `dtype`."""
    if device.type == "cuda":
        # Needs the Triton language, which comes with CUDA builds of torch.
        from audiocraft_triton.engine.lm.kernels.cuda import GpuOperations

        return GpuOperations(dtype)
    from audiocraft_triton.engine.lm.kernels.cpu import TorchOperations

    return TorchOperations(dtype)
