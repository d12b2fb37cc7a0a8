"""The weights of audiocraft's transformer LM, regrouped for decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from audiocraft_triton.checkpoints.upstream import LMModel, StreamingMultiheadAttention, create_sin_embedding
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.engine.lm.projections import Linear, PackedProjection, Projection, can_pack


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm's parameters, float32."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class CrossAttention:
    """A layer's cross-attention, without its keys and values, which are projected for all layers at once."""

    norm: Norm
    query: Linear
    out: Linear


@dataclass(frozen=True, slots=True)
class Layer:
    """One pre-norm transformer layer; `cross` is None if the model has no cross-attention."""

    self_norm: Norm
    qkv: Linear
    self_out: Linear
    cross: CrossAttention | None
    feed_norm: Norm
    feed_in: Linear
    activation: Callable[[torch.Tensor], torch.Tensor]
    feed_out: Linear


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of an LM, on its device.

    Attributes:
        dtype: dtype of the projections, keys and values.
        codebooks, card: the tokens' shape and range; `card` itself is the special token.
        heads: attention heads.
        dim: width of the residual stream.
        embedding: float32 [codebooks · (card + 1), dim], the codebooks one after the other.
        positions: float32 [positions, dim], the sinusoidal embedding.
        layers: in order.
        cross_key_value: projection to the keys and values of cross-attention of all layers, each layer's keys before
            its values; None without cross-attention.
        out_norm: norm after the last layer.
        head: the codebooks' output layers, one after the other.
        parameters: number of parameters of the layers.
        rows_independent: whether a row's bits are independent of how many rows are computed together.
    """

    dtype: torch.dtype
    codebooks: int
    card: int
    heads: int
    dim: int
    embedding: torch.Tensor
    positions: torch.Tensor
    layers: tuple[Layer, ...]
    cross_key_value: Linear | None
    out_norm: Norm
    head: Linear
    parameters: int
    rows_independent: bool


def regrouped(lm: LMModel, dtype: torch.dtype, max_positions: int) -> Weights:
    """Regroups an LM's weights.

    Args:
        lm: audiocraft's model; the result shares some of its memory.
        dtype: dtype of the projections.
        max_positions: most positions of a sequence.

    Raises:
        CheckpointError: the engine does not support the architecture; the message says why.
    """
    _require_supported(lm)
    device = lm.linears[0].weight.device
    regroup = _Regrouping(dtype, lm.dim, can_pack(device, dtype))
    layers = lm.transformer.layers
    positions = torch.arange(max_positions, device=device).view(1, -1, 1)
    has_cross = layers[0].cross_attention is not None
    return Weights(
        dtype=dtype,
        codebooks=lm.num_codebooks,
        card=lm.card,
        heads=layers[0].self_attn.num_heads,
        dim=lm.dim,
        embedding=torch.cat([embedding.weight for embedding in lm.emb]).float(),
        positions=(
            lm.transformer.positional_scale * create_sin_embedding(positions, lm.dim, lm.transformer.max_period)[0]
        ),
        layers=tuple(regroup.layer(layer) for layer in layers),
        cross_key_value=regroup.cross_key_value(layers) if has_cross else None,
        out_norm=_norm(lm.out_norm),
        head=regroup.stacked(lm.linears),
        parameters=sum(parameter.numel() for parameter in lm.transformer.parameters()),
        rows_independent=regroup.pack,
    )


@dataclass(frozen=True, slots=True)
class _Regrouping:
    """Converts projections to a dtype, and optionally packs them in the layout that makes rows independent."""

    dtype: torch.dtype
    dim: int
    pack: bool

    def layer(self, layer: Any) -> Layer:
        qkv, self_out = self._attention(layer.self_attn, layer.layer_scale_1)
        cross = None
        if layer.cross_attention is not None:
            packed, out = self._attention(layer.cross_attention, layer.layer_scale_cross)
            bias = None if packed.bias is None else packed.bias[: self.dim]
            query = Projection(packed.weight[: self.dim], bias)
            cross = CrossAttention(_norm(layer.norm_cross), self._stored(query), self._stored(out))
        feed_in, feed_out = self._projection(layer.linear1), self._projection(layer.linear2, layer.layer_scale_2)
        return Layer(
            _norm(layer.norm1), self._stored(qkv), self._stored(self_out), cross,
            _norm(layer.norm2), self._stored(feed_in), layer.activation, self._stored(feed_out),
        )  # fmt: skip

    def cross_key_value(self, layers: Any) -> Linear:
        packed = [self._attention(layer.cross_attention, torch.nn.Identity())[0] for layer in layers]
        weight = torch.cat([projection.weight[self.dim :] for projection in packed])
        biases = [projection.bias[self.dim :] for projection in packed if projection.bias is not None]
        return self._stored(Projection(weight, torch.cat(biases) if biases else None))

    def stacked(self, linears: Any) -> Linear:
        weight = torch.cat([linear.weight for linear in linears]).to(self.dtype)
        bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears]).to(self.dtype)
        return self._stored(Projection(weight, bias))

    def _attention(
        self, attention: StreamingMultiheadAttention, scale: torch.nn.Module
    ) -> tuple[Projection, Projection]:
        """Returns the packed input projection (query, key, value) and the output projection."""
        source = attention if attention.custom else attention.mha
        bias = None if source.in_proj_bias is None else source.in_proj_bias.to(self.dtype)
        return Projection(source.in_proj_weight.to(self.dtype), bias), self._projection(source.out_proj, scale)

    def _projection(self, linear: torch.nn.Linear, scale: torch.nn.Module | None = None) -> Projection:
        """Returns a linear layer with the LayerScale after it folded in."""
        weight, bias = linear.weight, linear.bias
        factor = getattr(scale, "scale", None)
        if factor is not None:
            weight = weight * factor[:, None]
            bias = None if bias is None else bias * factor
        return Projection(weight.to(self.dtype), None if bias is None else bias.to(self.dtype))

    def _stored(self, projection: Projection) -> Linear:
        return PackedProjection(projection) if self.pack else projection


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
