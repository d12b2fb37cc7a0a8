"""Checks EnCodec tokens from callers before they index a codebook."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import MAX_SECONDS


def check_codes(codes: NDArray[Any], codebooks: int, card: int, frame_rate: float) -> None:
    """Raises InvalidRequest unless `codes` has shape [batch, codebooks, frames] and values in 0 … card - 1."""
    shape = "×".join(map(str, codes.shape))
    if codes.ndim != 3 or codes.shape[1] != codebooks:
        raise InvalidRequest("codes", f"shape {shape}", f"must have shape [1, {codebooks} codebooks, frames]")
    most = int(MAX_SECONDS * frame_rate)
    if not 1 <= codes.shape[2] <= most:
        raise InvalidRequest("codes", f"shape {shape}", f"must have between 1 and {most:,} frames")
    wrong = codes[(codes < 0) | (codes >= card)]
    if wrong.size:
        raise InvalidRequest("codes", int(wrong[0]), f"every code must be between 0 and {card - 1}")
