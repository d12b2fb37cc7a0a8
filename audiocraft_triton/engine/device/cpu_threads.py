"""Limits the number of CPU threads that share the work of a step."""

from __future__ import annotations

import threading

import torch

SMALL_MODEL = 8_000_000
"""Number of parameters below which waking other threads some sixty times a step takes longer than their work."""


def settle_step_thread(parameters: int) -> None:
    """Makes the calling thread compute alone if the model, with this number of parameters, is too small to share."""
    if parameters < SMALL_MODEL:
        compute_alone()


def compute_alone() -> None:
    """Makes the calling thread run its torch operations alone; does not affect other threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    # torch's setting applies to the calling thread and is the default of later threads: another thread restores the
    # default.
    restoring = threading.Thread(target=torch.set_num_threads, args=(before,))
    restoring.start()
    restoring.join()
