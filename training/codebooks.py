"""Codebooks of a residual quantizer while it trains: entries that nobody uses, and how evenly the others are used."""

from __future__ import annotations

import flashy
import torch

from audiocraft_triton.checkpoints.upstream import ResidualVectorQuantizer
from training.upstream import sample_vectors

# An entry is dead when it is used this much less than the average entry.
DEAD = 0.05


@torch.no_grad()
def revive_dead_entries(quantizer: ResidualVectorQuantizer, latents: torch.Tensor, codes: torch.Tensor) -> None:
    """Moves entries that nothing is near to where latents are (random restart, arXiv:2005.00341).

    audiocraft's own `expire_codes_` does nothing: in the same step the moving averages overwrite what it wrote. So the
    averages are set here.

    Args:
        quantizer: in training.
        latents: float32 [batch, width, frames], a batch's.
        codes: integers [batch, codebooks, frames], the same batch's.
    """
    residual = latents.transpose(1, 2).flatten(0, 1)
    for layer, chosen in zip(quantizer.vq.layers, codes.transpose(0, 1), strict=True):
        codebook = layer._codebook
        quantized = codebook.embed[chosen.flatten()]
        average_use = codebook.cluster_size.mean()
        dead = codebook.cluster_size < DEAD * average_use
        fresh = sample_vectors(residual, codebook.codebook_size)
        codebook.embed.copy_(torch.where(dead[:, None], fresh, codebook.embed))
        codebook.embed_avg.copy_(torch.where(dead[:, None], fresh * average_use, codebook.embed_avg))
        codebook.cluster_size.copy_(torch.where(dead, average_use, codebook.cluster_size))
        residual = residual - quantized
    flashy.distrib.broadcast_tensors(quantizer.buffers())  # each process drew other vectors


@torch.no_grad()
def perplexities(quantizer: ResidualVectorQuantizer) -> torch.Tensor:
    """Of each codebook, how many entries are in use, as if all in use were used equally often.

    Returns:
        float32 [codebooks], 1 … card: the exponential of the entropy of the (moving) frequencies.
    """
    use = torch.stack([layer._codebook.cluster_size for layer in quantizer.vq.layers])
    frequency = use / use.sum(dim=1, keepdim=True).clamp(min=1e-12)
    entropy: torch.Tensor = torch.special.entr(frequency).sum(dim=1)
    return entropy.exp()
