"""Decodes tokens to sound in a separate thread: by EnCodec during generation, by MultiBand Diffusion at a clip's end.

The engine's thread passes on frames as soon as they are complete and continues with its steps.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from audiocraft_triton.audio.files import Waveform
from audiocraft_triton.engine.codec.streaming import ClipState, Piece, StreamingDecoder
from audiocraft_triton.engine.device.cuda import new_stream, on_stream
from audiocraft_triton.engine.handle import Chunk, Codes, GenerationHandle
from audiocraft_triton.engine.model import GenerativeModel

DiffusionDecoder = Callable[[Codes, int], Waveform]

MAX_PIECE = 50
"""Most frames decoded at a time; bounds the memory of a decode and the number of shapes."""
GPU_MICRO_BATCH = 16
"""Clips in each run of the codec on a GPU: the launches cost the host more time than 16 clips cost the device."""
DIFFUSION_THREADS = 4


@dataclass(slots=True)
class Clip:
    """State of one request's sound.

    Attributes:
        generation: handle of the request.
        frames: frames of the whole clip.
        state: state of the codec's streaming decoder; None if the clip is decoded as a whole, or not at all.
        piece: frames to pass on at a time.
        lookahead: additional frames of the first piece.
        handed: frames passed on.
        codes: the codes so far, in order, int64 [codebooks, n] each.
        pending: samples that are decoded but not sent, [channels, n].
        sent: samples sent.
    """

    generation: GenerationHandle
    frames: int
    state: ClipState | None
    piece: int
    lookahead: int
    pending: Waveform
    handed: int = 0
    codes: list[torch.Tensor] = field(default_factory=list)
    sent: int = 0

    def due(self, step: int, complete: int) -> list[int]:
        """Returns the ends of the pieces that are due now.

        Args:
            step: a counter common to all clips: clips with pieces of one length pass them on at the same steps, so that
                they are decoded together. Only a stream's first piece and a clip's end don't wait for such a step.
            complete: number of complete frames of the clip.
        """
        streams_first = self.handed == 0 and self.piece < MAX_PIECE
        if step % self.piece and not streams_first and complete < self.frames:
            return []
        ends: list[int] = []
        end = self._piece_end(self.handed)
        while end <= complete and (not ends or end > ends[-1]):
            ends.append(end)
            end = self._piece_end(end)
        return ends

    def _piece_end(self, start: int) -> int:
        """Returns the end of the piece that begins at `start`.

        The second piece takes the remainder that does not fill a piece. All other pieces, including the last one, have
        shapes that clips share, and the first piece is as short as possible.
        """
        first = self.lookahead + self.piece
        if start == 0:
            return min(first, self.frames)
        odd = (self.frames - first) % self.piece if start == first else 0
        return min(start + self.piece + odd, self.frames)


@dataclass(frozen=True, slots=True)
class Frames:
    """The next frames of a clip, as the engine passes them on.

    Attributes:
        clip: clip of these frames.
        codes: int64 [codebooks, n] on the engine's device.
        ready: on a GPU, the event that is reached when `codes` are computed.
    """

    clip: Clip
    codes: torch.Tensor
    ready: torch.cuda.Event | None
    last: bool


class SoundDecoder:
    """Turns frames into chunks, many clips at once.

    Args:
        model: model whose codec decodes.
        diffusion: decoder for `decoder="multiband_diffusion"`.
        on_first_chunk: called before a request's first chunk is sent.
        on_end: called with None when a request's sound is complete, or with the error that prevents it.
    """

    def __init__(
        self,
        model: GenerativeModel,
        diffusion: DiffusionDecoder | None,
        on_first_chunk: Callable[[GenerationHandle], None],
        on_end: Callable[[GenerationHandle, BaseException | None], None],
    ) -> None:
        self._device = model.transformer.device
        self._codec = StreamingDecoder(model.codec, GPU_MICRO_BATCH if self._device.type == "cuda" else 1)
        self._sample_rate = model.codec.sample_rate
        self._frame_rate = model.codec.frame_rate
        self._samples_per_frame = model.samples_per_frame
        self._channels = model.codec.channels
        self._diffusion = diffusion
        self._on_first_chunk = on_first_chunk
        self._on_end = on_end
        self._work: queue.SimpleQueue[Frames | None] = queue.SimpleQueue()
        self._backlog: deque[Frames | None] = deque()
        self._diffusing = ThreadPoolExecutor(DIFFUSION_THREADS, thread_name_prefix="diffusion")
        self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
        self._thread.start()

    def open(self, generation: GenerationHandle, frames: int) -> Clip:
        """Begins a clip of `frames` frames."""
        silence = np.zeros((self._channels, 0), np.float32)
        request = generation.request
        state = self._codec.open() if generation.decode and request.decoder == "encodec" else None
        if state is None or self._codec.lookahead is None:
            return Clip(generation, frames, state, frames, 0, silence)
        piece = min(math.ceil(request.chunk_seconds * self._frame_rate), MAX_PIECE)
        return Clip(generation, frames, state, piece, self._codec.lookahead, silence)

    def put(self, frames: Frames) -> None:
        """Queues the next frames of a clip; returns at once."""
        self._work.put(frames)

    def close(self) -> None:
        """Decodes everything in the queue, then stops."""
        self._work.put(None)
        self._thread.join()
        self._diffusing.shutdown(wait=True)

    @torch.inference_mode()
    def _run(self) -> None:
        with on_stream(new_stream(self._device)):
            while work := self._take():
                try:
                    self._serve(work)
                except Exception as error:  # these clips fail with it; the next ones are decoded
                    for item in work:
                        self._on_end(item.clip.generation, error)

    def _take(self) -> list[Frames]:
        """Takes at most one waiting piece per clip, so that clips are decoded together. Returns nothing at the end."""
        if not self._backlog:
            self._backlog.append(self._work.get())
        while not self._work.empty():
            self._backlog.append(self._work.get())
        taken: dict[int, Frames] = {}
        later: deque[Frames | None] = deque()
        for item in self._backlog:
            if item is None or id(item.clip) in taken:
                later.append(item)
            else:
                taken[id(item.clip)] = item
        self._backlog = later
        return list(taken.values())

    def _serve(self, work: Sequence[Frames]) -> None:
        going_on = [item for item in work if self._goes_on(item.clip.generation)]
        for item in going_on:
            if item.ready is not None:
                item.ready.wait()
            item.clip.codes.append(item.codes)
        self._decode([item for item in going_on if item.clip.state is not None])
        for item in going_on:
            if item.clip.state is None and item.last:
                self._finish_whole(item.clip)

    def _goes_on(self, generation: GenerationHandle) -> bool:
        if generation.ended:
            return False
        reason = generation.stopped()
        if reason is not None:
            self._on_end(generation, reason)
        return reason is None

    def _decode(self, work: Sequence[Frames]) -> None:
        pieces = [Piece(item.clip.state, item.codes, item.last) for item in work if item.clip.state is not None]
        for item, sound in zip(work, self._codec.decode(pieces) if pieces else [], strict=True):
            self._send(item.clip, sound.float().cpu().numpy(), item.last)

    def _finish_whole(self, clip: Clip) -> None:
        generation = clip.generation
        if not generation.decode:
            self._send(clip, clip.pending, last=True)
        else:
            codes = _joined(clip)
            self._diffusing.submit(self._diffuse, clip, codes)

    def _diffuse(self, clip: Clip, codes: Codes) -> None:
        try:
            assert self._diffusion is not None  # checked at submission
            self._send(clip, self._diffusion(codes, clip.generation.seed), last=True)
        except Exception as error:  # the caller receives it
            self._on_end(clip.generation, error)

    def _send(self, clip: Clip, sound: Waveform, last: bool) -> None:
        """Sends the decoded sound in whole chunks; at the end sends the rest, which may be shorter, with the codes."""
        generation = clip.generation
        size = round(generation.request.chunk_seconds * self._sample_rate)
        total = clip.frames * self._samples_per_frame
        pending = np.concatenate([clip.pending, sound], axis=1)
        while pending.shape[1] >= size and (pending.shape[1] > size or not last) and clip.sent + size < total:
            self._emit(clip, Chunk(np.ascontiguousarray(pending[:, :size]), None))
            pending = pending[:, size:]
        clip.pending = pending
        if last:
            self._emit(clip, Chunk(np.ascontiguousarray(pending), _joined(clip)))
            self._on_end(generation, None)

    def _emit(self, clip: Clip, chunk: Chunk) -> None:
        if clip.sent == 0:
            self._on_first_chunk(clip.generation)
        clip.sent += chunk.waveform.shape[1]
        clip.generation.emit(chunk)


def _joined(clip: Clip) -> Codes:
    codes: Codes = torch.cat(clip.codes, dim=1).to(torch.int32).cpu().numpy()
    return codes
