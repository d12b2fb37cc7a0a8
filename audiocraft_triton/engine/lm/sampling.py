"""Samples tokens from logits for many requests at once, each with its own parameters, without a host sync."""

from __future__ import annotations

from copy import copy

import torch

LEAST_TEMPERATURE = 1e-6
"""Below it the division of the logits overflows, and the likeliest token has all the probability anyway."""


class SamplingParameters:
    """Each slot's own sampling parameters.

    Attributes:
        temperature: float32 [slots, 1, 1]; 0 means greedy.
        top_k: int64 [slots, 1, 1]; keep the k likeliest tokens; card means all.
        top_p: float32 [slots, 1, 1]; above 0: keep the likeliest tokens until their sum exceeds p, and ignore top_k.
        cfg_coef: float32 [slots, 1, 1]; 1 means no guidance.
        guided: on the host, whether each slot needs its unconditional row.
        filtered: on the host, whether each slot restricts its candidates.

    Args:
        slots: number of slots.
        card: size of the codebooks.
        device: device of the tensors.
    """

    def __init__(self, slots: int, card: int, device: torch.device) -> None:
        self._card = card
        self.temperature, self.top_p, self.cfg_coef = (torch.zeros(slots, 1, 1, device=device) for _ in range(3))
        self.top_k = torch.ones(slots, 1, 1, device=device, dtype=torch.int64)
        self.guided = [False] * slots
        self.filtered = [False] * slots

    def set(self, slot: int, *, temperature: float, top_k: int, top_p: float, cfg_coef: float) -> None:
        """Sets one slot's parameters from those of a request, where a top_k of 0 means all."""
        temperature = temperature if temperature > LEAST_TEMPERATURE else 0.0
        top_k = top_k or self._card
        self.temperature[slot] = temperature
        self.top_k[slot] = top_k
        self.top_p[slot] = top_p
        self.cfg_coef[slot] = cfg_coef
        self.guided[slot] = cfg_coef != 1.0
        self.filtered[slot] = temperature > 0.0 and (top_p > 0.0 or top_k < self._card)

    def first(self, slots: int) -> SamplingParameters:
        """Returns the parameters of the first `slots` slots, as views."""
        first = copy(self)
        for name in ("temperature", "top_k", "top_p", "cfg_coef"):
            setattr(first, name, getattr(self, name)[:slots])
        return first


def guide(logits: torch.Tensor, cfg_coef: torch.Tensor) -> torch.Tensor:
    """Applies classifier-free guidance.

    Args:
        logits: [requests, 2, ...]: conditional, then unconditional.
        cfg_coef: [requests, 1, 1]; where it is 1, the unconditional row was not computed and is not read.
    """
    conditional, unconditional = logits[:, 0], logits[:, 1]
    guided = unconditional + (conditional - unconditional) * cfg_coef
    return torch.where(cfg_coef == 1.0, conditional, guided)


def sample(
    logits: torch.Tensor, parameters: SamplingParameters, draws: torch.Tensor, *, filtered: bool
) -> torch.Tensor:
    """Samples as audiocraft does: temperature, then top-p if above 0, else top-k (ties kept).

    A token of probability 0 is never sampled, whatever its draw.

    Args:
        logits: float32 [requests, codebooks, card].
        parameters: the requests' parameters.
        draws: float32 [requests, codebooks, card] from Exp(1).
        filtered: False if no request restricts its candidates, which saves the sorting.

    Returns:
        int64 [requests, codebooks].
    """
    greedy = parameters.temperature == 0.0
    probabilities = torch.softmax(logits / torch.where(greedy, 1.0, parameters.temperature), dim=-1)
    allowed = probabilities > 0.0
    if filtered:
        ordered = torch.sort(probabilities, dim=-1, descending=True).values
        before = ordered.cumsum(dim=-1) - ordered
        within_p = (before <= parameters.top_p).sum(dim=-1, keepdim=True)
        kept = torch.where(parameters.top_p > 0.0, within_p, parameters.top_k)
        last = (kept - 1).clamp_(min=0).expand(-1, ordered.shape[1], -1)  # with NaN logits, no token is within p
        allowed &= probabilities >= ordered.gather(-1, last)
    race = torch.where(allowed, probabilities / draws, 0.0)
    return torch.where(greedy, logits, race).argmax(dim=-1)
