"""One submitted request as its caller sees it: a stream of chunks that ends with the whole clip's codes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocraft_triton.audio.files import Waveform, write_audio
from audiocraft_triton.contract.errors import Cancelled, DeadlineExceeded
from audiocraft_triton.engine.request import GenerationRequest

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next piece of one request's sound.

    Attributes:
        waveform: float32 [channels, samples].
        codes: int32 [codebooks, frames] of the whole clip, on the last chunk; None before it.
    """

    waveform: Waveform
    codes: Codes | None


@dataclass(frozen=True, slots=True)
class Audio:
    """A finished clip.

    Attributes:
        waveform: float32 [channels, samples].
        sample_rate: Hz.
        seed: what to ask for to get the same clip again.
        codes: int32 [codebooks, frames].
    """

    waveform: Waveform
    sample_rate: int
    seed: int
    codes: Codes

    def save(self, path: str | Path) -> None:
        """Writes wav, flac, ogg or mp3, by the path's suffix."""
        Path(path).write_bytes(write_audio(self.waveform, self.sample_rate, Path(path).suffix.lstrip(".")))


class GenerationHandle:
    """One submitted request: iterate over its chunks, or take the whole `result()`.

    Iterating raises what stopped the request: InvalidRequest, Cancelled, DeadlineExceeded, or the engine's failure.
    """

    def __init__(self, request: GenerationRequest, sample_rate: int, decode: bool) -> None:
        assert request.seed is not None  # GenerationRequest draws one
        self.request = request
        self.decode = decode
        self.seed = request.seed
        self.sample_rate = sample_rate
        self.submitted = time.monotonic()
        self._cancelled = False
        self._ended = False
        self._ending = threading.Lock()
        self._items: queue.SimpleQueue[Chunk | BaseException | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Chunk]:
        while (item := self._items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def result(self) -> Audio:
        """Waits for the whole clip."""
        chunks = list(self)
        codes = chunks[-1].codes
        assert codes is not None  # the last chunk has them
        return Audio(np.concatenate([chunk.waveform for chunk in chunks], axis=1), self.sample_rate, self.seed, codes)

    def cancel(self) -> None:
        """Gives the request up, from any thread: the engine frees its slot before its next step but one."""
        self._cancelled = True

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    def stopped(self) -> BaseException | None:
        """For the engine: why this request must not go on, if it must not."""
        if self._cancelled:
            return Cancelled("the caller cancelled the request")
        timeout = self.request.timeout
        if timeout is not None and time.monotonic() - self.submitted > timeout:
            return DeadlineExceeded(f"the request was not complete within its timeout of {timeout:g} seconds")
        return None

    def emit(self, chunk: Chunk) -> None:
        """For the engine: the next chunk."""
        self._items.put(chunk)

    def end(self, error: BaseException | None, count: Callable[[], None]) -> None:
        """For the engine: nothing more comes, because of `error` or because the clip is complete.

        The first end counts: `count` is called for it alone, and before anybody can see it.
        """
        with self._ending:
            if self._ended:
                return
            count()
            self._ended = True
        self._items.put(error)
