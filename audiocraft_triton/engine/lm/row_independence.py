"""That a row's bits depend on its own span alone: checked on this machine at load, and made so where they do not.

Which kernel a library picks, and with it the order in which it adds up, may depend on the number of rows, on the thread
that takes a row, and on where the row lies. No library promises otherwise for everything that a step needs, so equal
rows are computed in every place of a batch, and compared bit for bit.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from audiocraft_triton import mkl
from audiocraft_triton.engine.device.cpu_threads import settle_step_thread
from audiocraft_triton.engine.lm.kernels.row_by_row import RowByRowOperations
from audiocraft_triton.engine.lm.projections import Linear, RowByRowProjection
from audiocraft_triton.engine.lm.transformer import DecoderTransformer
from audiocraft_triton.engine.lm.weights import Layer, Weights

SPANS = (1, 64, 200, 577)
"""What the check attends over: within a block of the cache, a whole one, several, and more than torch takes at once."""

_log = logging.getLogger(__name__)


def with_independent_rows(transformer: DecoderTransformer, rows: int) -> DecoderTransformer:
    """Checks a step's products and attention on a CPU; takes about as long as a few steps of one layer.

    Args:
        transformer: to check.
        rows: most rows of a step.

    Returns:
        The same, or one that computes row by row what did not pass.
    """
    weights, operations = transformer.weights, transformer.operations
    # The check needs what the steps will have: as many threads as the thread that computes them.
    with ThreadPoolExecutor(1, initializer=settle_step_thread, initargs=(weights.parameters,)) as thread:
        products = thread.submit(products_are_independent, transformer, rows).result()
        attention = thread.submit(attention_is_independent, transformer, rows).result()
    if products and attention:
        return transformer
    if not products:
        _warn("matrix products", "several times slower")
        weights = _row_by_row(weights, rows)
    if not attention:
        _warn("attention", "twice as slow")
        operations = RowByRowOperations(operations)
    return DecoderTransformer(weights, operations)


@torch.inference_mode()
def products_are_independent(transformer: DecoderTransformer, rows: int) -> bool:
    """Whether equal rows get equal bits from every product of a step, in every place.

    Where a step may have any number of rows, some of 1 to `rows` are tried, else that number alone.
    """
    counts = {1, 2, 3, rows // 2, rows - 1, rows} - {0} if transformer.weights.rows_independent else {rows}
    row = _random(1, transformer.weights.dim).to(transformer.weights.dtype)
    expected = [product[:1] for product in _products(transformer, row.repeat(min(counts), 1))]
    return all(
        torch.equal(product, own.expand_as(product))
        for count in counts
        for product, own in zip(_products(transformer, row.repeat(count, 1)), expected, strict=True)
    )


def _products(transformer: DecoderTransformer, x: torch.Tensor) -> Iterator[torch.Tensor]:
    """What each product of a step makes of [rows, dim]; layers have equal shapes, one stands for all."""
    layer = transformer.weights.layers[0]
    yield layer.qkv(x)
    yield layer.self_out(x)
    if layer.cross is not None:
        yield layer.cross.query(x)
        yield layer.cross.out(x)
    hidden = layer.feed_in(x)
    yield hidden
    yield layer.feed_out(layer.activation(hidden))
    yield transformer.logits(x)


@torch.inference_mode()
def attention_is_independent(transformer: DecoderTransformer, rows: int) -> bool:
    """Whether equal rows get equal bits from attention in every place, beside rows of equal and of longer spans."""
    operations, dtype = transformer.operations, transformer.weights.dtype
    shape = (transformer.weights.heads, transformer.head_dim)
    query = _random(1, *shape).to(dtype).repeat(rows, 1, 1)
    caches = _random(2, 1, operations.capacity(max(SPANS)), *shape).to(dtype)
    keys, values = caches.expand(-1, rows, -1, -1, -1)

    def attended(*lengths: int) -> torch.Tensor:
        count = len(lengths)
        spans = operations.spans(torch.tensor(lengths))
        return operations.attend(query[:count], keys[:count], values[:count], spans)

    def alike(length: int) -> bool:
        alone = attended(length)
        together = attended(*[length] * rows)
        mixed = attended(*([length, max(SPANS)] * rows)[:rows])[::2]
        return all(torch.equal(attention, alone.expand_as(attention)) for attention in (together, mixed))

    return all(alike(length) for length in SPANS)


def _row_by_row(weights: Weights, rows: int) -> Weights:
    def one(projection: Linear) -> Linear:
        return RowByRowProjection(projection, rows)

    def all_of(layer: Layer) -> Layer:
        cross = layer.cross and replace(layer.cross, query=one(layer.cross.query), out=one(layer.cross.out))
        return replace(
            layer, qkv=one(layer.qkv), self_out=one(layer.self_out), cross=cross,
            feed_in=one(layer.feed_in), feed_out=one(layer.feed_out),
        )  # fmt: skip

    layers = tuple(all_of(layer) for layer in weights.layers)
    return replace(weights, layers=layers, head=one(weights.head), rows_independent=True)


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _warn(what: str, cost: str) -> None:
    _log.warning(
        "equal rows of a batch get different bits from this machine's %s (%s=%s): computed row by row, %s, so that no "
        "request depends on the others. On x86, start the process with %s=%s",
        what, mkl.VARIABLE, os.environ.get(mkl.VARIABLE, ""), cost, mkl.VARIABLE, mkl.VALUE,
    )  # fmt: skip
