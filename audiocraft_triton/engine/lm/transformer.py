"""audiocraft's transformer LM, its weights regrouped for decoding with static caches.

`DecoderTransformer` computes what `LMModel.forward` computes; only where keys and values live differs: in buffers
that are allocated once, one row per sequence, so that every step has the same shapes and addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.checkpoints.upstream import LMModel, StreamingMultiheadAttention, create_sin_embedding
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.engine.lm.projections import (
    Linear,
    PackedProjection,
    Projection,
    can_pack,
)

EPSILON = 1e-5
"""Of every layer norm; audiocraft fixes it."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm's parameters, float32."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class CrossAttention:
    """What a layer's cross-attention has beside its keys and values, which are projected for all layers at once."""

    norm: Norm
    query: Linear
    out: Linear


@dataclass(frozen=True, slots=True)
class Layer:
    """One pre-norm transformer layer; `cross` is None where the model has no cross-attention."""

    self_norm: Norm
    qkv: Linear
    self_out: Linear
    cross: CrossAttention | None
    feed_norm: Norm
    feed_in: Linear
    activation: Callable[[torch.Tensor], torch.Tensor]
    feed_out: Linear


class DecoderTransformer:
    """The weights of an LM, and the parts of its computation that don't attend.

    Attributes:
        dtype: of weights, keys and values; sums of the residual stream are float32, as under audiocraft's autocast.
        layers: in order.
        heads: attention heads.
        head_dim: width of one.
        codebooks, card: the tokens' shape and range; `card` itself is the special token.
        cross: whether there is cross-attention.
        parameters: how many the layers have.
        rows_independent: whether a row's results have the same bits however many rows are computed together.

    Raises:
        CheckpointError: an architecture that this class does not compute, with the reason.
    """

    def __init__(self, lm: LMModel, dtype: torch.dtype, max_positions: int) -> None:
        _require_supported(lm)
        device = lm.linears[0].weight.device
        self.dtype = dtype
        self.device = device
        self.dim: int = lm.dim
        self.codebooks: int = lm.num_codebooks
        self.card: int = lm.card
        self.heads: int = lm.transformer.layers[0].self_attn.num_heads
        self.head_dim = self.dim // self.heads
        self.cross = lm.transformer.layers[0].cross_attention is not None
        self.parameters = sum(parameter.numel() for parameter in lm.transformer.parameters())
        self.rows_independent = can_pack(device, dtype)
        self.layers = [self._layer(layer) for layer in lm.transformer.layers]
        self._cross_key_value = self._packed(self._stacked_cross_projections(lm)) if self.cross else None
        self.out_norm = _norm(lm.out_norm)
        weight = torch.cat([linear.weight for linear in lm.linears]).to(dtype)
        bias = None if lm.linears[0].bias is None else torch.cat([linear.bias for linear in lm.linears]).to(dtype)
        self._head = self._packed(Projection(weight, bias))
        self._embedding = torch.cat([embedding.weight for embedding in lm.emb]).float()
        self._embedding_offsets = torch.arange(self.codebooks, device=device) * (self.card + 1)
        positions = torch.arange(max_positions, device=device).view(1, -1, 1)
        scale = lm.transformer.positional_scale
        self._positions = scale * create_sin_embedding(positions, self.dim, lm.transformer.max_period)[0]

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Sums the codebooks' embeddings: int64 [..., codebooks] -> float32 [..., dim]."""
        return F.embedding(tokens + self._embedding_offsets, self._embedding).sum(dim=-2)

    def position(self, positions: torch.Tensor) -> torch.Tensor:
        """Sinusoidal position embeddings: int64 [...] -> float32 [..., dim]."""
        return F.embedding(positions, self._positions)

    def cross_keys_values(self, source: torch.Tensor) -> torch.Tensor:
        """Projects what cross-attention reads, for all layers at once.

        Args:
            source: [rows, length, dim].

        Returns:
            [layers, 2 (keys, values), rows, length, heads, head_dim]
        """
        assert self._cross_key_value is not None
        rows, length, _ = source.shape
        projected = self._cross_key_value(source.to(self.dtype))
        split = projected.view(rows, length, len(self.layers), 2, self.heads, self.head_dim)
        return split.permute(2, 3, 0, 1, 4, 5)

    def logits(self, normed: torch.Tensor) -> torch.Tensor:
        """The codebooks' logits from the last layer's normed output: [rows, dim] -> float32 [rows, codebooks, card]."""
        return self._head(normed).view(-1, self.codebooks, self.card).float()

    def _layer(self, layer: Any) -> Layer:
        qkv, self_out = self._attention(layer.self_attn, layer.layer_scale_1)
        cross = None
        if layer.cross_attention is not None:
            packed, out = self._attention(layer.cross_attention, layer.layer_scale_cross)
            bias = None if packed.bias is None else packed.bias[: self.dim]
            query = Projection(packed.weight[: self.dim], bias)
            cross = CrossAttention(_norm(layer.norm_cross), self._packed(query), self._packed(out))
        feed_in, feed_out = self._projection(layer.linear1), self._projection(layer.linear2, layer.layer_scale_2)
        return Layer(
            _norm(layer.norm1), self._packed(qkv), self._packed(self_out), cross,
            _norm(layer.norm2), self._packed(feed_in), layer.activation, self._packed(feed_out),
        )  # fmt: skip

    def _attention(
        self, attention: StreamingMultiheadAttention, scale: torch.nn.Module
    ) -> tuple[Projection, Projection]:
        source = attention if attention.custom else attention.mha
        bias = None if source.in_proj_bias is None else source.in_proj_bias.to(self.dtype)
        return Projection(source.in_proj_weight.to(self.dtype), bias), self._projection(source.out_proj, scale)

    def _projection(self, linear: torch.nn.Linear, scale: torch.nn.Module | None = None) -> Projection:
        """A linear layer, with the LayerScale that follows it folded in."""
        weight, bias = linear.weight, linear.bias
        factor = getattr(scale, "scale", None)
        if factor is not None:
            weight = weight * factor[:, None]
            bias = None if bias is None else bias * factor
        return Projection(weight.to(self.dtype), None if bias is None else bias.to(self.dtype))

    def _packed(self, projection: Projection) -> Linear:
        return PackedProjection(projection) if self.rows_independent else projection

    def _stacked_cross_projections(self, lm: LMModel) -> Projection:
        packed = [self._attention(layer.cross_attention, torch.nn.Identity())[0] for layer in lm.transformer.layers]
        weight = torch.cat([projection.weight[self.dim :] for projection in packed])
        biases = [projection.bias[self.dim :] for projection in packed if projection.bias is not None]
        return Projection(weight, torch.cat(biases) if biases else None)


def _norm(norm: torch.nn.LayerNorm) -> Norm:
    return Norm(norm.weight.float(), norm.bias.float())


def _require_supported(lm: LMModel) -> None:
    transformer = lm.transformer
    attention = transformer.layers[0].self_attn
    cross = transformer.layers[0].cross_attention
    refused = {
        f"{transformer.positional_embedding!r} positions (only 'sin')": transformer.positional_embedding != "sin",
        "normalization after the layers (norm_first: false)": not transformer.layers[0].norm_first,
        "attention that is not causal": not attention.causal,
        "a limited past_context": attention.past_context is not None,
        "normalized queries and keys (qk_layer_norm)": attention.qk_layer_norm or (cross and cross.qk_layer_norm),
        "repeated keys (kv_repeat)": attention.kv_repeat != 1,
        f"a {type(lm).__name__}": type(lm) is not LMModel,
    }
    for what, found in refused.items():
        if found:
            raise CheckpointError(f"this language model has {what}, which the engine does not compute")
