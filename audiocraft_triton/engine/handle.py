"""The caller's handle of a submitted request: a stream of chunks that ends with the whole clip's codes."""

from __future__ import annotations

import itertools
import threading
import time
import traceback
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
        codes: on the last chunk, int32 [codebooks, frames] of the whole clip; None on all others.
    """

    waveform: Waveform
    codes: Codes | None


@dataclass(frozen=True, slots=True)
class Audio:
    """A finished clip.

    Attributes:
        waveform: float32 [channels, samples].
        sample_rate: Hz.
        seed: seed that gives the same clip again.
        codes: int32 [codebooks, frames].
    """

    waveform: Waveform
    sample_rate: int
    seed: int
    codes: Codes

    def save(self, path: str | Path) -> None:
        """Writes a wav, flac, ogg or mp3 file, according to the path's suffix."""
        Path(path).write_bytes(write_audio(self.waveform, self.sample_rate, Path(path).suffix.lstrip(".")))


class GenerationHandle:
    """One submitted request: iterate over its chunks, or take the whole `result()`, in any order, any number of times.

    Every iteration, in any thread, begins with the first chunk: the handle keeps its chunks as long as it lives, 128 kB
    for a second of 32 kHz mono. Both ways raise the error that stopped the request each time: InvalidRequest,
    Cancelled, DeadlineExceeded, or the engine's failure.
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
        self._error: BaseException | None = None
        self._chunks: list[Chunk] = []
        self._audio: Audio | None = None
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Chunk]:
        for index in itertools.count():
            chunk = self._chunk(index)
            if chunk is None:
                break
            yield chunk
        if self._error is not None:
            raise self._error.with_traceback(None)  # otherwise the traceback would grow with every iteration

    def result(self) -> Audio:
        """Waits for the whole clip; returns the same object each time."""
        chunks = list(self)
        codes = chunks[-1].codes
        assert codes is not None  # the last chunk has them
        with self._changed:
            if self._audio is None:
                waveform = np.concatenate([chunk.waveform for chunk in chunks], axis=1)
                self._audio = Audio(waveform, self.sample_rate, self.seed, codes)
            return self._audio

    def cancel(self) -> None:
        """Cancels the request, from any thread: the engine frees its slot before its next step but one."""
        self._cancelled = True

    @property
    def ended(self) -> bool:
        """Whether the request has ended, so that no more chunks will follow."""
        return self._ended

    def stopped(self) -> BaseException | None:
        """For the engine: returns the error for which this request must stop, or None."""
        if self._cancelled:
            return Cancelled("the caller cancelled the request")
        timeout = self.request.timeout
        if timeout is not None and time.monotonic() - self.submitted > timeout:
            return DeadlineExceeded(f"the request was not complete within its timeout of {timeout:g} seconds")
        return None

    def emit(self, chunk: Chunk) -> None:
        """For the engine: adds the next chunk; after the end, the chunk is dropped."""
        with self._changed:
            if not self._ended:
                self._chunks.append(chunk)
                self._changed.notify_all()

    def end(self, error: BaseException | None, count: Callable[[], None]) -> None:
        """For the engine: ends the request because of `error` or, if None, because the clip is complete.

        Only the first call has an effect. It calls `count` before anything can observe the end.
        """
        with self._changed:
            if self._ended:
                return
            count()
            self._error = None if error is None else _without_frames(error)
            self._ended = True
            self._changed.notify_all()

    def _chunk(self, index: int) -> Chunk | None:
        """Waits for the chunk with this index; returns None if the request ended before it."""
        with self._changed:
            self._changed.wait_for(lambda: index < len(self._chunks) or self._ended)
            return self._chunks[index] if index < len(self._chunks) else None


class EngineTraceback(Exception):
    """The traceback of an error inside the engine, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _without_frames(error: BaseException) -> BaseException:
    """Returns the error with its traceback as text, because traceback frames keep objects such as GPU memory."""
    if error.__traceback__ is not None and not isinstance(error.__cause__, EngineTraceback):
        error.__cause__ = EngineTraceback("".join(traceback.format_exception(error)))
        error.__context__ = None
    return error.with_traceback(None)
