"""Linear layers, and variants whose results do not depend on how many rows are computed together.

On a CPU, `F.linear` calls a library that chooses its kernel by the number of rows, and each kernel adds in its own
order. The results differ in their last bits only. But where two tokens are nearly equally likely, these decide which
is sampled, so a request would get one clip alone and another in a batch. With weights in its own layout, oneDNN adds
in one order for two rows or more, with AVX-512, AVX2 or SSE4.1 and any number of threads. This was measured; oneDNN
does not promise it, so it is checked at load (`row_independence`).
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
    """A linear layer with a weight [out, in] and, if it has one, a bias [out]."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class PackedProjection:
    """A linear layer for a CPU and float32, whose weight is in oneDNN's layout."""

    def __init__(self, projection: Projection) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(projection.weight)
        self._bias = projection.bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.numel() == x.shape[-1]:  # oneDNN has another kernel, with another order, for one row
            two = x.reshape(1, -1).expand(2, -1)
            return self._product(two)[:1].view(*x.shape[:-1], -1)
        return self._product(x)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return product


class RowByRowProjection:
    """Computes a step's rows one at a time, so that neither other rows nor its place change a row's bits.

    Args:
        projection: the layer, [..., in] -> [..., out].
        rows: most rows of a step. More rows are a prefill's positions, all of one request, and computed together.
    """

    def __init__(self, projection: Linear, rows: int) -> None:
        self._projection = projection
        self._rows = rows

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self._rows:
            return self._projection(x)
        # Rows are copied so that each begins at an aligned address.
        return torch.cat([self._projection(row.clone()) for row in x[:, None]])


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Tells whether linear layers of this device and dtype can be packed."""
    on_x86 = device.type == "cpu" and platform.machine() == "x86_64"
    return on_x86 and dtype == torch.float32 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
