"""Initializes convolutions for a training of minutes."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def make_responsive(network: nn.Module) -> None:
    """Makes the output of untrained convolutions with weight norm depend on their input.

    torch's default initialization shrinks the variance by a factor of 3 per layer, until biases dominate. A codec then
    first learns the loudness of the average clip; its latents become constant, and its codebooks collapse.
    """
    for name, parameter in network.named_parameters():
        if "bias" in name:
            parameter.zero_()
        elif name.endswith("weight_g"):
            parameter.mul_(3.0**0.5)
