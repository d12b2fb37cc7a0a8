"""Streams, events and graphs of a GPU; on a CPU there are none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch


def new_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream of one's own on a GPU, so that one thread's work does not wait for another's."""
    if device.type != "cuda":
        return None
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def on_stream(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """Makes a stream the current one of this thread."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def recorded_event() -> torch.cuda.Event:
    """An event that is reached when what was asked of the current stream so far is done."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event


class CapturedGraph:
    """A CUDA graph: one launch instead of some hundred, with the host free meanwhile.

    Captures a function without arguments or results, which reads and writes tensors of fixed addresses.

    Args:
        work: is run for warm-up first (kernels are compiled and libraries set up then, which can't be captured), so
            whatever it advances must be harmless or set anew afterwards.
        stream: on which it is warmed up, captured and later replayed.
    """

    WARM_UPS = 3

    def __init__(self, work: Callable[[], None], stream: torch.cuda.Stream) -> None:
        self._graph = torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream(stream.device))  # which fills the tensors that `work` reads
        with torch.cuda.stream(stream):
            for _ in range(self.WARM_UPS):
                work()
        stream.synchronize()
        # cuBLAS keeps a workspace per stream: the graph gets its own, which nobody else uses or frees (as torch's
        # own graphs in torch._inductor do it).
        torch._C._cuda_clearCublasWorkspaces()
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            work()
        torch._C._cuda_clearCublasWorkspaces()

    def __call__(self) -> None:
        """Replays on the current stream."""
        self._graph.replay()
