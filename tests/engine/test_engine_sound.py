"""A clip's frames are passed on for decoding early for a stream, in shapes that clips share, and without loss."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiocraft_triton.engine.codec.sound import MAX_PIECE, Clip
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.request import GenerationRequest

LOOKAHEAD = 4


def clip(frames: int, piece: int) -> Clip:
    generation = GenerationHandle(GenerationRequest(seed=1), 32_000, decode=True)
    return Clip(generation, frames, None, piece, LOOKAHEAD, np.zeros((1, 0), np.float32))


def pieces(of: Clip, first_step: int = 0) -> list[tuple[int, int]]:
    """Returns (step, length) of every piece of a clip whose frames are completed one by one."""
    handed: list[tuple[int, int]] = []
    for complete in range(1, of.frames + 1):
        for end in of.due(first_step + complete, complete):
            handed.append((first_step + complete, end - of.handed))
            of.handed = end
    return handed


@given(st.integers(1, 700), st.integers(1, MAX_PIECE), st.integers(0, 200))
def test_every_frame_is_passed_on_once_and_by_the_end(frames: int, piece: int, first_step: int) -> None:
    lengths = [length for _, length in pieces(clip(frames, piece), first_step)]
    assert sum(lengths) == frames
    assert all(length > 0 for length in lengths)
    assert max(lengths) < 2 * piece + LOOKAHEAD


def test_a_streams_first_piece_comes_as_early_as_its_sound_is_final() -> None:
    assert pieces(clip(500, 10), first_step=3)[0] == (3 + 14, 14)


def test_clips_that_entered_at_different_steps_pass_on_frames_together() -> None:
    steps = [{step for step, length in pieces(clip(507, 25), entered)[1:-1]} for entered in (0, 7, 33)]
    assert all(step % 25 == 0 for clip_steps in steps for step in clip_steps)


def test_all_pieces_but_the_first_two_have_one_length_whenever_a_clip_entered() -> None:
    for entered in range(0, 60, 7):
        lengths = [length for _, length in pieces(clip(507, MAX_PIECE), entered)]
        assert lengths[:2] == [54, 53]
        assert set(lengths[2:]) == {50}


def test_frames_that_are_complete_at_once_are_passed_on_in_pieces() -> None:
    continued = clip(500, 10)
    assert continued.due(10, 250)[:3] == [14, 30, 40]
    assert continued.due(10, 250)[-1] == 250
