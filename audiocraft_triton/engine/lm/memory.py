"""The memory that slots take, and how many fit on a GPU. It imports no torch, for the capacity simulation's sake."""

from __future__ import annotations

MAX_CONDITION_LENGTH = 512
"""Condition vectors that a request may attend to: T5's training length, and a slot's space for them."""
ROWS = 2
"""Rows of the KV cache per slot: one with the conditions and one without them, for guidance."""
MAX_GPU_SLOTS = 64
GPU_MEMORY_SHARE = 0.7
"""The slots' share of the memory that is free once the weights are loaded; codecs and other models need the rest."""


def slot_bytes(layers: int, dim: int, positions: int, *, itemsize: int, cross_attention: bool = True) -> int:
    """Returns the bytes of one slot's keys and values.

    Args:
        layers, dim: the transformer's layers and width.
        positions: length of the longest sequence.
        itemsize: bytes per number.
        cross_attention: whether a slot also keeps its conditions' keys and values.
    """
    kept = positions + (MAX_CONDITION_LENGTH if cross_attention else 0)
    return 2 * ROWS * layers * kept * dim * itemsize


def fitting_slots(free: float, each: int) -> int:
    """Returns how many slots of `each` bytes fit into `free` bytes, those left after the weights: at least one."""
    return max(1, min(MAX_GPU_SLOTS, int(GPU_MEMORY_SHARE * free) // each))
