"""A request's random numbers, addressed by (seed, frame, codebook, candidate), whatever else is in the batch.

Philox (numpy's, whose raw stream is stable by contract) turns (seed, frame, codebook) into a 64-bit draw key; a 32-bit
integer mix turns a draw key and a candidate token into that candidate's draw. Both are integer arithmetic, so CPU and
GPU get the same bits, and a step costs a few elementwise operations on the device.
"""

from __future__ import annotations

import numpy as np
import torch

_MASK = 0xFFFFFFFF


def draw_keys(seed: int, frames: int, codebooks: int) -> torch.Tensor:
    """Returns the draw keys of a clip: int64 [frames, codebooks], a function of (seed, frame, codebook) alone."""
    raw = np.random.Philox(key=seed).random_raw(frames * codebooks)
    return torch.from_numpy(raw.view(np.int64).reshape(frames, codebooks))


def exponential_draws(keys: torch.Tensor, card: int) -> torch.Tensor:
    """Returns one draw from Exp(1) per candidate token.

    The candidate with the largest probability / draw is a sample of the distribution (the exponential race), so that
    sampling needs no sum over candidates and no synchronization.

    Args:
        keys: draw keys, int64 [...].
        card: number of candidates.

    Returns:
        float32 [..., card], between 5.9e-8 and 17.4.
    """
    candidates = torch.arange(card, device=keys.device) * 0x9E3779B1  # Knuth's multiplicative hash
    bits = _mix((candidates + (keys & _MASK).unsqueeze(-1)).bitwise_and_(_MASK))
    bits = _mix(bits.bitwise_xor_(((keys >> 32) & _MASK).unsqueeze(-1)))
    return exponential(bits >> 8)


def exponential(numbers: torch.Tensor) -> torch.Tensor:
    """Computes -log((n + 1/2) / 2²⁴), which has the distribution Exp(1) for random n.

    Args:
        numbers: 24-bit integers [...].

    Returns:
        float32 [...], above 0. In float32 the greatest number plus 1/2 would be rounded up to 2²⁴, hence the clamp.
    """
    uniform = numbers.to(torch.float32).add_(0.5).clamp_(max=2**24 - 1).mul_(2.0**-24)
    return uniform.log_().neg_()


def _mix(bits: torch.Tensor) -> torch.Tensor:
    """Applies MurmurHash3's 32-bit finalizer, in place on int64 that hold 32 bits."""
    bits.bitwise_xor_(bits >> 16).mul_(0x85EBCA6B).bitwise_and_(_MASK)
    bits.bitwise_xor_(bits >> 13).mul_(0xC2B2AE35).bitwise_and_(_MASK)
    return bits.bitwise_xor_(bits >> 16)
