"""Gives audiocraft's own `generate` the engine's random numbers by replacing its `multinomial`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import audiocraft.utils.utils as upstream_utils
import pytest
import torch

from audiocraft_triton.engine.lm.randomness import draw_keys, exponential_draws

CODEBOOKS, CARD = 4, 512
MAX_DELAY = CODEBOOKS - 1


class _RememberingTorch:
    """torch, but remembers its last sort, because upstream's top-p samples among sorted candidates."""

    def __init__(self) -> None:
        self.order: torch.Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def sort(self, *arguments: Any, **options: Any) -> Any:
        result = torch.sort(*arguments, **options)
        self.order = result.indices
        return result


@contextmanager
def same_draws(seed: int, frames: int, prompt: int = 0, window: int | None = None, stride: int = 0) -> Iterator[None]:
    """Gives one upstream generation within the block the draws of a request with this seed.

    Args:
        frames: frames of the clip, prompt included.
        prompt: frames of the continuation.
        window: the model's longest window in frames; None if the clip fits into it.
        stride: stride of upstream's extension in frames.
    """
    keys = draw_keys(seed, frames, CODEBOOKS)
    columns = _sampled_columns(frames, prompt, window or frames, stride)
    remembering = _RememberingTorch()

    def multinomial(probabilities: torch.Tensor, num_samples: int, **_options: Any) -> torch.Tensor:
        assert probabilities.shape == (1, CODEBOOKS, CARD)
        assert num_samples == 1
        frame = next(columns) - torch.arange(CODEBOOKS)
        draws = exponential_draws(keys[frame.clamp(0, frames - 1), torch.arange(CODEBOOKS)], CARD)[None]
        if remembering.order is not None:
            draws = draws.gather(-1, remembering.order)
            remembering.order = None
        return (probabilities / draws).argmax(dim=-1, keepdim=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream_utils, "multinomial", multinomial)
        patch.setattr(upstream_utils, "torch", remembering)
        yield
    assert next(columns, None) is None, "upstream drew less often than expected"


def _sampled_columns(frames: int, prompt: int, window: int, stride: int) -> Iterator[int]:
    """Yields the first codebook's frame for each of upstream's draws."""
    offset, known = 0, prompt
    while offset + known < frames:
        length = min(frames - offset, window)
        yield from range(offset + known, offset + length + MAX_DELAY)
        if length == frames:
            return
        known, offset = length - stride, offset + stride
