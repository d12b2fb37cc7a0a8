"""The delay pattern (arXiv:2306.05284, section 2.2): how a clip's codebooks interleave into the steps of the LM.

Codebook k of frame t is generated in column 1 + t + delay(k). Column 0, and every place of a column that no frame
fills, holds the special token. This is audiocraft's `DelayedPatternProvider` without its rarely used options.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

UNKNOWN = -1
"""Marks a token that is yet to be sampled."""


class DelayPattern:
    """Maps frames to columns and back.

    Args:
        delays: one per codebook, ascending.
        special: the token of places that no frame fills.
    """

    def __init__(self, delays: Sequence[int], special: int) -> None:
        self.delays = torch.tensor(list(delays), dtype=torch.int64)
        self.special = special
        self.max_delay = max(delays)

    def columns(self, frames: int) -> int:
        """Returns the number of columns that a clip of `frames` frames takes."""
        return 1 + frames + self.max_delay

    def first_column(self, prompt_frames: int) -> int:
        """Returns the first column with a token to sample, after a prompt of `prompt_frames` frames."""
        return 1 + prompt_frames + int(self.delays[0])

    def complete_frames(self, columns: int) -> int:
        """Returns how many frames have all their codebooks in the first `columns` columns."""
        return max(0, columns - 1 - self.max_delay)

    def frame_of(self, columns: int) -> torch.Tensor:
        """Returns the frame of each place: int64 [columns, codebooks], negative before the first frame."""
        return torch.arange(columns)[:, None] - 1 - self.delays

    def interleave(self, prompt: torch.Tensor, frames: int) -> torch.Tensor:
        """Makes the columns of a clip that begins with a prompt.

        Args:
            prompt: int64 [codebooks, prompt frames].
            frames: number of frames of the whole clip.

        Returns:
            int64 [columns, codebooks]: prompt tokens, special tokens, and UNKNOWN for tokens to be sampled.
        """
        frame = self.frame_of(self.columns(frames))
        known = torch.cat([prompt, prompt.new_full((prompt.shape[0], frames - prompt.shape[1]), UNKNOWN)], dim=1)
        tokens = known.T.gather(0, frame.clamp(0, frames - 1))
        return torch.where((frame >= 0) & (frame < frames), tokens, self.special)

    def frames(self, sequence: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Copies frames start … stop of a sequence [columns, codebooks] to a tensor [codebooks, stop - start]."""
        columns = torch.arange(start, stop)[:, None] + 1 + self.delays
        return sequence.gather(0, columns.to(sequence.device)).T.contiguous()
