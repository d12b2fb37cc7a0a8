"""Cross-attention that treats each text of a padded batch as if it were alone.

Upstream's cross-attention has no mask: padding takes a share of the attention, so a text's effect depends on the longer
texts in its batch. The engine conditions every request alone, and a language model has to be trained for that.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from audiocraft_triton.checkpoints.upstream import LMModel, StreamingMultiheadAttention


class PaddedCrossAttention(StreamingMultiheadAttention):  # type: ignore[misc]
    """Upstream's cross-attention with the same weights, limited to the attention keys that `unpadded` marks.

    Attributes:
        unpadded: bool [batch, keys]; set it before every call.
    """

    unpadded: torch.Tensor

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_args: Any, **_settings: Any
    ) -> tuple[torch.Tensor, None]:
        queries, keys, values = (
            functional.linear(vectors, weight).view(*vectors.shape[:2], self.num_heads, -1).transpose(1, 2)
            for vectors, weight in zip((query, key, value), self.in_proj_weight.chunk(3), strict=True)
        )
        attended = functional.scaled_dot_product_attention(
            queries, keys, values,
            attn_mask=self.unpadded[:, None, None, :], dropout_p=self.dropout if self.training else 0.0,
        )  # fmt: skip
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None


def replace_cross_attention(lm: LMModel) -> list[PaddedCrossAttention]:
    """Replaces every layer's cross-attention, keeping weights and their names; returns the new modules."""
    replaced = []
    for layer in lm.transformer.layers:
        upstream = layer.cross_attention
        ours = PaddedCrossAttention(
            upstream.embed_dim, upstream.num_heads, upstream.dropout, bias=False, memory_efficient=True,
            cross_attention=True,
        )  # fmt: skip
        ours.load_state_dict(upstream.state_dict())
        layer.cross_attention = ours.to(upstream.in_proj_weight.device)
        replaced.append(ours)
    return replaced
