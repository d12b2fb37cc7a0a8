"""How much memory slots take, and how many fit on a GPU. No torch: the capacity simulation computes with it too."""

from __future__ import annotations

MAX_CONDITION_LENGTH = 512
"""Vectors that a request may attend to: what T5 was trained on, and what a slot has room for."""
ROWS = 2
"""Rows of the KV cache in a slot: with the conditions and without them, for guidance."""
MAX_GPU_SLOTS = 64
GPU_MEMORY_SHARE = 0.7
"""Of what is free once the weights are loaded, for the slots; the rest is for codecs and other models."""


def slot_bytes(layers: int, dim: int, positions: int, *, itemsize: int, cross_attention: bool = True) -> int:
    """Bytes of one slot's keys and values.

    Args:
        layers, dim: of the transformer.
        positions: of the longest sequence.
        itemsize: bytes of a number.
        cross_attention: whether a slot keeps its conditions' keys and values too.
    """
    kept = positions + (MAX_CONDITION_LENGTH if cross_attention else 0)
    return 2 * ROWS * layers * kept * dim * itemsize


def fitting_slots(free: float, each: int) -> int:
    """How many slots of `each` bytes an engine takes where `free` bytes are left beside its weights: at least one."""
    return max(1, min(MAX_GPU_SLOTS, int(GPU_MEMORY_SHARE * free) // each))
