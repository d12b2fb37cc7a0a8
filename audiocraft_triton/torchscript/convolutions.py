"""Removes what TorchScript can't hold from convolutions: weight norms in hooks, and sizes that are numpy integers."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import nn

from audiocraft_triton.checkpoints.upstream import NormConv1d, NormConv2d, NormConvTranspose1d
from audiocraft_triton.contract.errors import CheckpointError

Convolution = TypeVar("Convolution", nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)


def plain_convolution(module: nn.Module) -> nn.Module:
    """Returns the plain convolution that is equivalent to a `NormConv1d`, `NormConv2d` or `NormConvTranspose1d`.

    A weight norm or spectral norm is folded into the weight; a group norm follows the convolution.

    Raises:
        CheckpointError: the module is of another kind.
    """
    if isinstance(module, (NormConv1d, NormConv2d)):
        convolution, norm = folded(module.conv), module.norm
    elif isinstance(module, NormConvTranspose1d):
        convolution, norm = folded(module.convtr), module.norm
    else:
        raise CheckpointError(f"can't export a {type(module).__name__} where a convolution was expected")
    return nn.Sequential(convolution, frozen_copy(norm))


def folded(convolution: Convolution) -> Convolution:
    """Returns a copy of a convolution with its reparametrised weight (weight or spectral norm) as one plain tensor."""
    with torch.no_grad():
        # Both norms compute `weight` in a hook before each forward; until then it may be stale.
        for hook in convolution._forward_pre_hooks.values():
            hook(convolution, ())
        weight = convolution.weight.detach().clone()
    arguments: dict[str, Any] = {
        "kernel_size": integers(convolution.kernel_size),
        "stride": integers(convolution.stride),
        "dilation": integers(convolution.dilation),
        "padding": integers(convolution.padding),
        "padding_mode": convolution.padding_mode,
        "groups": int(convolution.groups),
        "bias": convolution.bias is not None,
        "device": "meta",  # takes no memory and draws no random numbers for weights that are replaced at once
    }
    if isinstance(convolution, nn.ConvTranspose1d):
        arguments["output_padding"] = integers(convolution.output_padding)
    plain = type(convolution)(int(convolution.in_channels), int(convolution.out_channels), **arguments)
    plain.weight = nn.Parameter(weight, requires_grad=False)
    if convolution.bias is not None:
        plain.bias = nn.Parameter(convolution.bias.detach().clone(), requires_grad=False)
    return plain


def frozen_copy(module: nn.Module) -> nn.Module:
    """Returns a deep copy whose parameters need no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


def integers(sizes: Any) -> tuple[int, ...]:
    """Converts numpy integers in a tuple to Python's: audiocraft computes some sizes with `np.prod`."""
    return tuple(int(size) for size in sizes)
