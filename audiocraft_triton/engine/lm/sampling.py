"""From logits to tokens for many requests at once, each with its own parameters, without a host sync."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """Every request's own; tensors of shape [requests, 1, 1].

    Attributes:
        temperature: float32; 0 means greedy.
        top_k: int64; keep the k likeliest tokens; card means all.
        top_p: float32; above 0: keep the likeliest tokens until their sum exceeds p, and top_k does nothing.
    """

    temperature: torch.Tensor
    top_k: torch.Tensor
    top_p: torch.Tensor


def guide(logits: torch.Tensor, cfg_coef: torch.Tensor) -> torch.Tensor:
    """Classifier-free guidance.

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

    Args:
        logits: float32 [requests, codebooks, card].
        parameters: of each request.
        draws: float32 [requests, codebooks, card] from Exp(1).
        filtered: False where no request restricts its candidates: spares the sorting.

    Returns:
        int64 [requests, codebooks].
    """
    greedy = parameters.temperature == 0.0
    probabilities = torch.softmax(logits / torch.where(greedy, 1.0, parameters.temperature), dim=-1)
    race = probabilities / draws
    if filtered:
        ordered = torch.sort(probabilities, dim=-1, descending=True).values
        before = ordered.cumsum(dim=-1) - ordered
        within_p = (before <= parameters.top_p).sum(dim=-1, keepdim=True)
        kept = torch.where(parameters.top_p > 0.0, within_p, parameters.top_k)
        last = (kept - 1).clamp_(min=0).expand(-1, ordered.shape[1], -1)  # none is within p of logits that are NaN
        threshold = ordered.gather(-1, last)
        race = torch.where(probabilities >= threshold, race, 0.0)
    return torch.where(greedy, logits, race).argmax(dim=-1)
