"""A thread that computes alone does not affect other threads."""

from __future__ import annotations

import threading

import torch

from audiocraft_triton.engine.device.cpu_threads import compute_alone


def test_only_the_calling_thread_computes_alone() -> None:
    torch.set_num_threads(2)
    seen: dict[str, int] = {}

    def alone() -> None:
        compute_alone()
        seen["alone"] = torch.get_num_threads()

    def later() -> None:
        seen["later"] = torch.get_num_threads()

    for work in (alone, later):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == {"alone": 1, "later": 2}
    assert torch.get_num_threads() == 2
