"""Exponential moving average of a module's weights during training; checkpoints keep the average."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class WeightAverage:
    """Averages parameters and floating-point buffers over about 1 / (1 - decay) steps.

    The first steps weigh equally, so that the initial weights have no share in the average. Buffers are averaged too,
    because a codebook has to lag behind as much as its encoder does. (audiocraft's `ModuleDictEMA` does the same tensor
    by tensor, which takes longer than a step of these small models.)

    Args:
        module: the module in training, already on its device.
        decay: 0 … 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self._weight = 0.0
        # A state dict's tensors share memory with the module's, so these stay current.
        self._current = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
        self._average = {name: value.clone() for name, value in self._current.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Adds the module's current weights to the average."""
        self._weight = self._weight * self._decay + 1.0
        torch._foreach_lerp_(list(self._average.values()), list(self._current.values()), 1.0 / self._weight)

    @torch.no_grad()
    def adopt(self) -> None:
        """Sets the module's weights to the average."""
        torch._foreach_copy_(list(self._current.values()), list(self._average.values()))

    def module_state(self) -> dict[str, torch.Tensor]:
        """Returns the module's state dict with averages in place of weights, on the CPU."""
        state: dict[str, torch.Tensor] = self._module.state_dict()
        return {name: self._average.get(name, tensor).detach().cpu().clone() for name, tensor in state.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self._weight, "average": dict(self._average)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._weight = state_dict["weight"]
        for name, tensor in state_dict["average"].items():
            self._average[name].copy_(tensor)
