"""How convolutions begin that have only minutes to learn."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def make_responsive(network: nn.Module) -> None:
    """Makes the output of untrained convolutions with weight norm depend on their input.

    torch's default initialization shrinks variance by 3 a layer, and biases drown what is left. A codec then learns
    the loudness of the average clip first; its latents become constant, and the codebooks collapse with them.
    """
    for name, parameter in network.named_parameters():
        if "bias" in name:
            parameter.zero_()
        elif name.endswith("weight_g"):
            parameter.mul_(3.0**0.5)
