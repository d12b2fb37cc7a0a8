"""Codebooks of a residual quantizer in training: revives unused entries and measures how evenly entries are used."""

from __future__ import annotations

import flashy
import torch

from audiocraft_triton.checkpoints.upstream import ResidualVectorQuantizer
from training.upstream import sample_vectors

# An entry is dead when it is used this much less than the average entry.
DEAD = 0.05


@torch.no_grad()
def revive_dead_entries(quantizer: ResidualVectorQuantizer, latents: torch.Tensor, codes: torch.Tensor) -> None:
    """Moves entries that no latent is near to where latents are (random restart, arXiv:2005.00341).

    audiocraft's own `expire_codes_` has no effect: in the same step the moving averages overwrite its result. So this
    function sets the averages.

    Args:
        quantizer: the quantizer in training.
        latents: float32 [batch, width, frames] of one batch.
        codes: integers [batch, codebooks, frames] of the same batch.
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
    flashy.distrib.broadcast_tensors(quantizer.buffers())  # each process drew different vectors


@torch.no_grad()
def perplexities(quantizer: ResidualVectorQuantizer) -> torch.Tensor:
    """Computes the perplexity of each codebook: its effective number of entries, as if all were used equally often.

    Returns:
        float32 [codebooks], 1 … card: the exponential of the entropy of the (moving-average) frequencies.
    """
    use = torch.stack([layer._codebook.cluster_size for layer in quantizer.vq.layers])
    frequency = use / use.sum(dim=1, keepdim=True).clamp(min=1e-12)
    entropy: torch.Tensor = torch.special.entr(frequency).sum(dim=1)
    return entropy.exp()
