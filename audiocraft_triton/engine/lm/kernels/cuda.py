"""The operations of a step on a GPU, as kernels in the Triton language (unrelated to the server of that name).

One program computes one head of one row, and reads only that row's own span of its cache. So rows of any length share
a launch, idle rows cost nothing, and other rows never change a row's bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from audiocraft_triton.engine.lm.kernels import EPSILON
from audiocraft_triton.engine.lm.weights import Norm

_BLOCK = 128
"""Cache positions read at a time: fewer are slower for one long row, more are slower for many short rows."""
_WARPS = 4


class GpuOperations:
    """Implements `StepOperations`. Its spans are the lengths, read on the device.

    Args:
        dtype: dtype of activations, float16 or bfloat16.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def capacity(self, positions: int) -> int:
        return positions

    def spans(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths

    def add_and_norm(self, residual: torch.Tensor, update: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        rows, dim = residual.shape
        normed = torch.empty(rows, dim, device=residual.device, dtype=self._dtype)
        _add_and_norm[(rows,)](
            residual, residual if update is None else update, norm.weight, norm.bias, normed, dim, EPSILON,
            HAS_UPDATE=update is not None, BLOCK=triton.next_power_of_2(dim), num_warps=4,
        )  # fmt: skip
        return normed

    def append(self, qkv: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: torch.Tensor) -> torch.Tensor:
        return self._attended(qkv, qkv.shape[2:], keys, values, spans, append=True)

    def attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: torch.Tensor
    ) -> torch.Tensor:
        return self._attended(query, query.shape[1:], keys, values, spans, append=False)

    def _attended(
        self,
        query: torch.Tensor,
        head_shape: torch.Size,
        keys: torch.Tensor,
        values: torch.Tensor,
        spans: torch.Tensor,
        append: bool,
    ) -> torch.Tensor:
        heads, width = head_shape
        attended = torch.empty(len(query), heads * width, device=query.device, dtype=query.dtype)
        _attend[(len(query), heads)](
            query, query.stride(0), keys, values, spans, attended, keys.stride(0), keys.stride(1), heads, width**-0.5,
            WIDTH=width, PADDED_WIDTH=triton.next_power_of_2(width), BLOCK=_BLOCK, APPEND=append, num_warps=_WARPS,
        )  # fmt: skip
        return attended


@triton.jit  # type: ignore[untyped-decorator]
def _add_and_norm(  # type: ignore[no-untyped-def]
    residual, update, weight, bias, normed, dim, epsilon, HAS_UPDATE: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < dim
    x = tl.load(residual + row * dim + column, mask=inside, other=0.0)
    if HAS_UPDATE:
        x += tl.load(update + row * dim + column, mask=inside, other=0.0).to(tl.float32)
        tl.store(residual + row * dim + column, x, mask=inside)
    mean = tl.sum(x, axis=0) / dim
    centered = tl.where(inside, x - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centered * centered, axis=0) / dim + epsilon)
    w = tl.load(weight + column, mask=inside, other=0.0)
    b = tl.load(bias + column, mask=inside, other=0.0)
    tl.store(normed + row * dim + column, (centered * scale * w + b).to(normed.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    query, query_stride, keys, values, lengths, attended, row_stride, position_stride, heads, scale,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, BLOCK: tl.constexpr, APPEND: tl.constexpr,
):  # fmt: skip
    """Attends over a row's span in one pass (with a running maximum and sum, arXiv:2205.14135)."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    length = tl.load(lengths + row).to(tl.int32)
    channel = tl.arange(0, PADDED_WIDTH)
    inside = channel < WIDTH
    out = attended + row * heads * WIDTH + head * WIDTH + channel
    if length == 0:
        tl.store(out, tl.zeros([PADDED_WIDTH], dtype=attended.dtype.element_ty), mask=inside)
        return
    own = query + row * query_stride + head * WIDTH + channel
    q = tl.load(own, mask=inside, other=0.0).to(tl.float32) * scale
    cache = row * row_stride + head * WIDTH + channel
    cached = length
    highest = -float("inf")
    total = 0.0
    weighted = tl.zeros([PADDED_WIDTH], dtype=tl.float32)
    if APPEND:
        cached = length - 1
        new_key = tl.load(own + heads * WIDTH, mask=inside, other=0.0)
        new_value = tl.load(own + 2 * heads * WIDTH, mask=inside, other=0.0)
        new = cache + cached.to(tl.int64) * position_stride
        tl.store(keys + new, new_key, mask=inside)
        tl.store(values + new, new_value, mask=inside)
        highest = tl.sum(q * new_key.to(tl.float32), axis=0)
        total = 1.0
        weighted = new_value.to(tl.float32)
    for start in range(0, cached, BLOCK):
        position = start + tl.arange(0, BLOCK)
        live = position < cached
        at = cache[None, :] + position[:, None].to(tl.int64) * position_stride
        seen = live[:, None] & inside[None, :]
        # Issue both loads before waiting for either: a single request is bound by memory latency.
        key = tl.load(keys + at, mask=seen, other=0.0).to(tl.float32)
        value = tl.load(values + at, mask=seen, other=0.0).to(tl.float32)
        score = tl.where(live, tl.sum(q[None, :] * key, axis=1), -float("inf"))
        higher = tl.maximum(highest, tl.max(score, axis=0))
        weight = tl.exp(score - higher)
        rescale = tl.exp(highest - higher)
        weighted = weighted * rescale + tl.sum(weight[:, None] * value, axis=0)
        total = total * rescale + tl.sum(weight, axis=0)
        highest = higher
    tl.store(out, (weighted / total).to(attended.dtype.element_ty), mask=inside)
