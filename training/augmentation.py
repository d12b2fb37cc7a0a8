"""Augmentation: changes to a crop that a listener would not notice."""

from __future__ import annotations

import torch

QUIETEST, LOUDEST = 0.3, 1.1


def random_loudness(waveform: torch.Tensor) -> torch.Tensor:
    """Gives each clip a random gain of 0.3 … 1.1, limited so that nothing clips, and a random polarity.

    Args:
        waveform: float32 [batch, channels, samples] within -1 … 1.
    """
    shape = (len(waveform), 1, 1)
    gain = QUIETEST + (LOUDEST - QUIETEST) * torch.rand(shape, device=waveform.device)
    unclipped = 1.0 / waveform.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-3)
    polarity = torch.randint(0, 2, shape, device=waveform.device) * 2 - 1
    return waveform * torch.minimum(gain, unclipped) * polarity
