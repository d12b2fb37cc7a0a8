"""EnCodec tokens from callers are checked before they index a codebook."""

from __future__ import annotations

import numpy as np
import pytest

from audiocraft_triton.contract.codes import check_codes
from audiocraft_triton.contract.errors import InvalidRequest


def check(codes: np.ndarray) -> None:
    check_codes(codes, codebooks=4, card=512, frame_rate=50.0)


def test_codes_within_bounds_pass() -> None:
    codes = np.zeros((1, 4, 50), np.int32)
    codes[0, 3, 49] = 511
    check(codes)
    check(np.zeros((3, 4, 1), np.int32))


@pytest.mark.parametrize("wrong", [-1, 512, 2**31 - 1, -(2**31)])
def test_a_code_outside_the_codebook_is_refused_with_its_value(wrong: int) -> None:
    codes = np.zeros((1, 4, 50), np.int32)
    codes[0, 2, 25] = wrong
    with pytest.raises(InvalidRequest, match=f"codes={wrong}: every code must be between 0 and 511"):
        check(codes)


@pytest.mark.parametrize("shape", [(4, 50), (1, 3, 50), (1, 5, 50), (50,), (1, 1, 4, 50)])
def test_a_wrong_shape_is_refused_with_the_right_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match=r"must have shape \[1, 4 codebooks, frames\]") as caught:
        check(np.zeros(shape, np.int32))
    assert "×".join(map(str, shape)) in str(caught.value)


def test_at_most_300_seconds_of_frames_pass() -> None:
    check(np.zeros((1, 4, 15_000), np.int32))
    for frames in (0, 15_001):
        with pytest.raises(InvalidRequest, match="must have between 1 and 15,000 frames"):
            check(np.zeros((1, 4, frames), np.int32))
