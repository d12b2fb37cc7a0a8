"""Plans clips longer than the model's window: each window continues the previous one's end (audiocraft's extension)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the model, in frames.

    Attributes:
        offset: first frame of the window in the clip.
        prompt: number of its frames that are known, from the previous window or the continuation.
        frames: length of the window, prompt included.
    """

    offset: int
    prompt: int
    frames: int


def windows(total: int, prompt: int, longest: int, stride: int) -> list[Window]:
    """Plans the windows of a clip.

    Args:
        total: frames of the clip, prompt included.
        prompt: frames that are given; fewer than `total` and than `longest`.
        longest: frames of the model's window.
        stride: frames between the beginnings of two consecutive windows.
    """
    if total <= longest:
        return [Window(0, prompt, total)]
    plan: list[Window] = []
    offset, known = 0, prompt
    while offset + known < total:
        frames = min(total - offset, longest)
        plan.append(Window(offset, known, frames))
        known = frames - stride
        offset += stride
    return plan
