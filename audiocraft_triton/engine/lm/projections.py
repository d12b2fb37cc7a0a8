"""Linear layers, and the form of them whose results don't depend on how many rows are computed together.

Behind `F.linear` on a CPU is a library that chooses its kernel by the number of rows, and each kernel sums up in its
own order. The differences are in the last bits, but where two tokens are nearly as likely they decide which is drawn: a
request would get another clip among others than alone. oneDNN, given weights in its own layout, sums up in one order
for two rows or more, with AVX-512, AVX2 or SSE4.1 and any number of threads: measured, not promised, and so checked at
load (`row_independence`).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F  # noqa: N812

Linear = Callable[[torch.Tensor], torch.Tensor]
"""[..., in] -> [..., out]."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A linear layer's weight [out, in] and bias [out], if it has one."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class PackedProjection:
    """The same for a CPU and float32; the weight lies in oneDNN's layout."""

    def __init__(self, projection: Projection) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(projection.weight)
        self._bias = projection.bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.numel() == x.shape[-1]:  # one row has a kernel, and an order, of its own
            two = x.reshape(1, -1).expand(2, -1)
            return self._product(two)[:1].view(*x.shape[:-1], -1)
        return self._product(x)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return product


class RowByRowProjection:
    """Computes a step's rows one at a time, so that neither the others nor its place change a row's bits.

    Args:
        projection: [..., in] -> [..., out].
        rows: most rows of a step; more are the positions of a prefill, all of one request, and computed together.
    """

    def __init__(self, projection: Linear, rows: int) -> None:
        self._projection = projection
        self._rows = rows

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self._rows:
            return self._projection(x)
        # Copies: each begins at an aligned address, whatever its place.
        return torch.cat([self._projection(row.clone()) for row in x[:, None]])


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether linear layers there can be packed."""
    on_x86 = device.type == "cpu" and platform.machine() == "x86_64"
    return on_x86 and dtype == torch.float32 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
