"""Codebooks are interleaved into columns, and long clips cut into windows, exactly as in audiocraft."""

from __future__ import annotations

import pytest
import torch
from audiocraft.modules.codebooks_patterns import DelayedPatternProvider
from hypothesis import given
from hypothesis import strategies as st

from audiocraft_triton.engine.lm.delay_pattern import UNKNOWN, DelayPattern
from audiocraft_triton.engine.scheduling.windows import Window, windows

SPECIAL = 99


@pytest.mark.parametrize("delays", [[0, 1, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0], [0, 2, 5], [1, 2]])
@pytest.mark.parametrize(("frames", "prompt"), [(1, 0), (2, 1), (12, 0), (12, 7), (12, 11)])
def test_columns_equal_those_of_audiocrafts_pattern(delays: list[int], frames: int, prompt: int) -> None:
    pattern, upstream = DelayPattern(delays, SPECIAL), DelayedPatternProvider(len(delays), delays).get_pattern(frames)
    codes = torch.arange(len(delays) * frames).view(len(delays), frames)
    known = codes.clone()
    known[:, prompt:] = UNKNOWN
    sequence, _, _ = upstream.build_pattern_sequence(known[None], SPECIAL)
    interleaved = pattern.interleave(codes[:, :prompt], frames)
    assert interleaved.tolist() == sequence[0].T.tolist()
    assert pattern.columns(frames) == len(interleaved)
    assert pattern.first_column(prompt) == upstream.get_first_step_with_timesteps(prompt)
    assert (interleaved[: pattern.first_column(prompt)] != UNKNOWN).all()


def test_frames_come_back_from_columns_as_soon_as_they_are_complete() -> None:
    pattern = DelayPattern([0, 1, 2, 3], SPECIAL)
    codes = torch.arange(4 * 9).view(4, 9)
    columns = pattern.interleave(codes, 9)
    assert pattern.frames(columns, 2, 7).tolist() == codes[:, 2:7].tolist()
    for filled in range(len(columns) + 1):
        complete = pattern.complete_frames(filled)
        unknown = columns.clone()
        unknown[filled:] = UNKNOWN
        if complete:
            assert (pattern.frames(unknown, 0, complete) != UNKNOWN).all()
        if complete < 9:
            assert (pattern.frames(unknown, complete, complete + 1) == UNKNOWN).any()


def test_a_clip_that_fits_is_one_window() -> None:
    assert windows(1500, 7, 1500, 900) == [Window(0, 7, 1500)]


def test_a_longer_clip_moves_its_window_by_the_stride() -> None:
    assert windows(2000, 0, 1500, 900) == [Window(0, 0, 1500), Window(900, 600, 1100)]
    assert windows(530, 495, 500, 100) == [Window(0, 495, 500), Window(100, 400, 430)]


@given(st.integers(1, 5000), st.integers(0, 499), st.integers(1, 500))
def test_windows_cover_a_clip_and_each_has_something_to_generate(total: int, prompt: int, stride: int) -> None:
    prompt = min(prompt, total - 1)
    plan = windows(total, prompt, 500, stride)
    done = prompt
    for window in plan:
        assert window.offset + window.prompt == done
        assert window.prompt < window.frames <= 500
        done = window.offset + window.frames
    assert done == total
