"""Unused codebook entries are revived where latents are, and the perplexity counts the entries in use."""

from __future__ import annotations

import pytest
import torch
from audiocraft.quantization import ResidualVectorQuantizer

from training.codebooks import perplexities, revive_dead_entries

CARD = 8


def trained_quantizer(latents: torch.Tensor, steps: int) -> tuple[ResidualVectorQuantizer, torch.Tensor]:
    """Returns a quantizer after steps with the same latents [batch, width, frames], and the last step's codes."""
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(
        dimension=latents.shape[1], n_q=2, bins=CARD, decay=0.5, kmeans_init=True, threshold_ema_dead_code=0
    ).train()
    for _step in range(steps):
        codes = quantizer(latents, 50).codes
    return quantizer, codes


def test_revived_entries_are_used_again() -> None:
    latents = torch.randn(4, 3, 50, generator=torch.Generator().manual_seed(1))
    quantizer, _codes = trained_quantizer(latents, steps=10)
    first = quantizer.vq.layers[0]._codebook
    for buffer in (first.embed, first.embed_avg):
        buffer[2:] = 1e3  # far from every latent
    for _step in range(12):
        codes = quantizer(latents, 50).codes
    assert codes[:, 0].unique().numel() <= 2
    revive_dead_entries(quantizer, latents, codes)
    codes = quantizer(latents, 50).codes
    assert codes[:, 0].unique().numel() == CARD
    assert first.embed.abs().max() < 10


def test_entries_in_use_do_not_move() -> None:
    latents = torch.randn(4, 3, 50, generator=torch.Generator().manual_seed(1))
    quantizer, codes = trained_quantizer(latents, steps=10)
    before = {name: buffer.clone() for name, buffer in quantizer.named_buffers()}
    revive_dead_entries(quantizer, latents, codes)
    for name, buffer in quantizer.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_perplexity_counts_the_entries_in_use() -> None:
    latents = torch.randn(4, 3, 50, generator=torch.Generator().manual_seed(1))
    quantizer, _codes = trained_quantizer(latents, steps=1)
    for layer, use in zip(quantizer.vq.layers, ([5.0] * CARD, [5.0, 5.0] + [0.0] * (CARD - 2)), strict=True):
        layer._codebook.cluster_size.copy_(torch.tensor(use))
    assert perplexities(quantizer).tolist() == pytest.approx([CARD, 2.0])
