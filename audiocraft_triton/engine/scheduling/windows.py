"""Clips longer than the model's window: each window continues the end of the one before (audiocraft's extension)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the model, in frames.

    Attributes:
        offset: where the window begins in the clip.
        prompt: how many of its frames are known: those of the window before, or of the continuation.
        frames: its length, prompt included.
    """

    offset: int
    prompt: int
    frames: int


def windows(total: int, prompt: int, longest: int, stride: int) -> list[Window]:
    """The windows of a clip.

    Args:
        total: frames of the clip, prompt included.
        prompt: frames that are given; fewer than `total` and than `longest`.
        longest: frames of the model's window.
        stride: frames by which one window begins after the one before.
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
