"""Streams, events and graphs of a GPU; a CPU has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch


def new_stream(device: torch.device) -> torch.cuda.Stream | None:
    """Returns a new stream on a GPU, so that one thread's work does not wait for another's; None on a CPU."""
    if device.type != "cuda":
        return None
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def on_stream(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """Makes a stream this thread's current stream; does nothing for None."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def recorded_event() -> torch.cuda.Event:
    """Records and returns an event that is reached when all work queued on the current stream so far is done."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event


class CapturedTensors:
    """The tensors for which a CUDA graph was captured; it replays on their addresses, whatever is there by then.

    Args:
        tensors: returns the current tensors that the graph reads and writes, by name.
    """

    REMEDY = (
        "Make a new Engine instead of replacing its tensors, or turn CUDA graphs off: Engine(cuda_graphs=False); in "
        'Triton the parameter cuda_graphs: "false" of the stream model (AUDIOCRAFT_MUSICGEN_CUDA_GRAPHS=false)'
    )

    def __init__(self, tensors: Callable[[], Mapping[str, torch.Tensor]]) -> None:
        self._tensors = tensors
        self._captured = {name: _place(tensor) for name, tensor in tensors().items()}

    def check(self) -> None:
        """Raises RuntimeError if a tensor was replaced; writing to one is allowed."""
        current = {name: _place(tensor) for name, tensor in self._tensors().items()}
        if current == self._captured:
            return
        for name, place in self._captured.items():
            if name not in current:
                raise RuntimeError(f"{name}, for which a CUDA graph was captured, is gone. {self.REMEDY}")
            if current[name] != place:
                raise RuntimeError(
                    f"a CUDA graph was captured for {name} as {_words(place)}, and it is {_words(current[name])} now. "
                    f"{self.REMEDY}"
                )


class CapturedGraph:
    """A CUDA graph: one launch instead of some hundred, during which the host is free.

    Captures a function without arguments or results, which reads and writes tensors of fixed addresses.

    Args:
        work: the function. It runs as a warm-up first, because compiling kernels and initialising libraries can't be
            captured, so any state that it advances must be harmless or reset afterwards.
        stream: stream on which it is warmed up, captured and replayed.
        tensors: returns the tensors that `work` reads and writes and that could be replaced, by name.
    """

    WARM_UPS = 3

    def __init__(
        self, work: Callable[[], None], stream: torch.cuda.Stream, tensors: Callable[[], Mapping[str, torch.Tensor]]
    ) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = stream
        stream.wait_stream(torch.cuda.current_stream(stream.device))  # which fills the tensors that `work` reads
        with torch.cuda.stream(stream):
            for _ in range(self.WARM_UPS):
                work()
        stream.synchronize()
        # cuBLAS keeps a workspace per stream: the graph gets its own, which nothing else uses or frees, as torch's own
        # graphs in torch._inductor do.
        torch._C._cuda_clearCublasWorkspaces()
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            work()
        torch._C._cuda_clearCublasWorkspaces()
        self._captured = CapturedTensors(tensors)

    def __call__(self) -> None:
        """Replays the graph.

        Raises:
            RuntimeError: the current stream or a tensor is not the one for which the graph was captured.
        """
        current = torch.cuda.current_stream()
        if current != self._stream:
            raise RuntimeError(
                f"a CUDA graph was captured on {self._stream}, and {current} is current: replay it inside "
                f"`on_stream` with its own. {CapturedTensors.REMEDY}"
            )
        self._captured.check()
        self._graph.replay()


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor's address and layout."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def _place(tensor: torch.Tensor) -> _Place:
    return _Place(tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)


def _words(place: _Place) -> str:
    dtype = str(place.dtype).removeprefix("torch.")
    return f"{dtype} {list(place.shape)} on {place.device} at {place.address:#x}"
