"""The language model, with one forward pass for prefill and decode.

It computes the same as audiocraft's `LMModel.forward`, with sums in another order: logits differ in their last bits,
and tokens only where two candidates are nearly tied. Keys and values are in buffers that are allocated once, so that
every step has the same shapes and addresses. An `Attention` implements how positions attend.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.engine.lm.kernels import StepOperations
from audiocraft_triton.engine.lm.weights import Weights


class Attention(Protocol):
    """How the N positions of a forward pass attend to their sequences' caches and to their conditions."""

    def over_sequence(self, layer: int, qkv: torch.Tensor) -> torch.Tensor:
        """Caches the new keys and values, then attends causally: [N, 3, heads, head_dim] -> [N, dim]."""

    def over_conditions(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Attends to the conditions' cached keys and values: [N, heads, head_dim] -> [N, dim]."""


class DecoderTransformer:
    """A pre-norm decoder, which computes N positions of any sequences together.

    Args:
        weights: regrouped from audiocraft's model.
        operations: this device's operations.
    """

    def __init__(self, weights: Weights, operations: StepOperations) -> None:
        self.weights = weights
        self.operations = operations
        self.device = weights.embedding.device
        self.head_dim = weights.dim // weights.heads
        self._offsets = torch.arange(weights.codebooks, device=self.device) * (weights.card + 1)

    def embed(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Returns the sum of the codebooks' embeddings and the position's embedding.

        Args:
            tokens: int64 [..., codebooks].
            positions: int64 [...].

        Returns:
            float32 [..., dim]
        """
        tokens_sum = F.embedding(tokens + self._offsets, self.weights.embedding).sum(dim=-2)
        return tokens_sum + self.embed_positions(positions)

    def embed_positions(self, positions: torch.Tensor) -> torch.Tensor:
        """Returns sinusoidal position embeddings: int64 [...] -> float32 [..., dim]."""
        return F.embedding(positions, self.weights.positions)

    def forward(self, residual: torch.Tensor, attention: Attention) -> torch.Tensor:
        """Passes positions through all layers.

        Args:
            residual: float32 [N, dim], the embedded positions, which are overwritten. The residual stream stays
                float32, as under audiocraft's autocast.
            attention: attention of these N positions.

        Returns:
            [N, dim] in the weights' dtype, normalized; the input of `logits`.
        """
        add_and_norm, heads = self.operations.add_and_norm, (self.weights.heads, self.head_dim)
        update: torch.Tensor | None = None
        for index, layer in enumerate(self.weights.layers):
            normed = add_and_norm(residual, update, layer.self_norm)
            update = layer.self_out(attention.over_sequence(index, layer.qkv(normed).view(-1, 3, *heads)))
            if layer.cross is not None:
                normed = add_and_norm(residual, update, layer.cross.norm)
                query = layer.cross.query(normed).view(-1, *heads)
                update = layer.cross.out(attention.over_conditions(index, query))
            normed = add_and_norm(residual, update, layer.feed_norm)
            update = layer.feed_out(layer.activation(layer.feed_in(normed)))
        return add_and_norm(residual, update, self.weights.out_norm)

    def logits(self, normed: torch.Tensor) -> torch.Tensor:
        """Returns the codebooks' logits: [N, dim] -> float32 [N, codebooks, card]."""
        return self.weights.head(normed).view(-1, self.weights.codebooks, self.weights.card).float()

    def condition_keys_values(self, conditions: torch.Tensor) -> torch.Tensor:
        """Projects conditions to the keys and values of cross-attention, for all layers at once.

        Args:
            conditions: [rows, length, dim].

        Returns:
            [layers, 2 (keys, values), rows, length, heads, head_dim]
        """
        assert self.weights.cross_key_value is not None
        rows, length, _ = conditions.shape
        projected = self.weights.cross_key_value(conditions.to(self.weights.dtype))
        shape = (rows, length, len(self.weights.layers), 2, self.weights.heads, self.head_dim)
        return projected.view(shape).permute(2, 3, 0, 1, 4, 5)
