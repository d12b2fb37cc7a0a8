"""How many CPU threads share the work of a step."""

from __future__ import annotations

import threading

import torch

SMALL_MODEL = 8_000_000
"""Parameters: with fewer, waking other threads some sixty times a step takes longer than what they would do."""


def settle_step_thread(parameters: int) -> None:
    """Has the calling thread share a step's work among as many threads as a model of so many parameters is worth."""
    if parameters < SMALL_MODEL:
        compute_alone()


def compute_alone() -> None:
    """Makes the calling thread run its torch operations by itself, and leaves all other threads as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    # torch's setting is the calling thread's own, and also what threads begin with that come later: another thread
    # sets that part back.
    restoring = threading.Thread(target=torch.set_num_threads, args=(before,))
    restoring.start()
    restoring.join()
