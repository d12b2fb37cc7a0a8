"""The engine: takes requests from any thread, generates tokens, hands back sound.

One request at a time runs through audiocraft's own `LMModel.generate`; requests wait their turn in order. The
interface (`submit` -> a stream of chunks) is made for continuous batching, which replaces what is underneath.
"""

from __future__ import annotations

import math
import queue
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio_files import Waveform, write_audio
from engine.checkpoints import load_codec, load_lm, resolve
from engine.errors import Cancelled, InvalidInput, Overloaded
from engine.request import GenerationRequest

from audiocraft.models import AudioGen, MusicGen  # isort: skip

# Said once by the switch that `_decode` uses, of a GPU that is not there.
warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")

Codes = NDArray[np.int32]
DiffusionDecoder = Callable[[Codes, int], Waveform]


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


class Generation:
    """One submitted request: iterate over its chunks, or take the whole `result()`.

    Iterating raises what stopped the request: InvalidInput, Cancelled, or the engine's failure.
    """

    def __init__(
        self, request: GenerationRequest, sample_rate: int, cancelled: Callable[[], bool], decode: bool
    ) -> None:
        assert request.seed is not None  # GenerationRequest draws one
        self.request = request
        self.decode = decode
        self.seed = request.seed
        self.sample_rate = sample_rate
        self.cancelled = cancelled
        self._items: queue.SimpleQueue[Chunk | BaseException | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Chunk]:
        while (item := self._items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def emit(self, item: Chunk | BaseException | None) -> None:
        """For the engine: the next chunk, what stopped the request, or None at the end."""
        self._items.put(item)

    def result(self) -> Audio:
        """Waits for the whole clip."""
        chunks = list(self)
        codes = chunks[-1].codes
        assert codes is not None  # the last chunk has them
        return Audio(np.concatenate([chunk.waveform for chunk in chunks], axis=1), self.sample_rate, self.seed, codes)


class Engine:
    """Generates audio with one checkpoint on one device. Thread-safe.

    Args:
        checkpoint: `demo`, `demo-sound`, a directory, or a hub id.
        device: torch device; the GPU where there is one by default.
        max_waiting: requests that may wait beside the running one; more raise Overloaded.
        diffusion_decoder: codes [codebooks, frames] and seed -> waveform, for `decoder="multiband_diffusion"`.

    Raises:
        CheckpointError: the checkpoint is missing, unsafe or of an unknown kind.
    """

    def __init__(
        self,
        checkpoint: str = "demo",
        *,
        device: str | torch.device | None = None,
        max_waiting: int = 64,
        diffusion_decoder: DiffusionDecoder | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        source = resolve(checkpoint)
        lm = load_lm(source, self.device)
        # The two differ in how far their window moves when a clip is longer than it: 18 of 30 seconds, 2 of 10.
        family = MusicGen if lm.cfg.dataset.segment_duration > 18 else AudioGen
        self._model = family(source.name, load_codec(source, self.device), lm)
        self._diffusion_decoder = diffusion_decoder
        self._waiting: queue.Queue[Generation | None] = queue.Queue(max_waiting)
        self._admission = threading.Lock()
        self._closed = False
        self._worker = threading.Thread(target=self._run, name="engine", daemon=True)
        self._worker.start()

    @property
    def sample_rate(self) -> int:
        """Hz of everything this engine makes."""
        return int(self._model.sample_rate)

    @property
    def channels(self) -> int:
        """Audio channels of everything this engine makes."""
        return int(self._model.audio_channels)

    @property
    def frame_rate(self) -> float:
        """Token frames in a second."""
        return float(self._model.frame_rate)

    @property
    def card(self) -> int:
        """Size of each codebook."""
        return int(self._model.lm.card)

    @property
    def takes_melody(self) -> bool:
        """Whether the checkpoint has a melody conditioner."""
        return "self_wav" in self._model.lm.condition_provider.conditioners

    def generate(self, text: str = "", **parameters: Any) -> Audio:
        """Submits a `GenerationRequest` of these parameters and waits for its clip."""
        return self.submit(GenerationRequest(text=text, **parameters)).result()

    def submit(
        self, request: GenerationRequest, cancelled: Callable[[], bool] = lambda: False, decode: bool = True
    ) -> Generation:
        """Queues a request.

        Args:
            request: what to generate.
            cancelled: asked between tokens; once true, the request stops and its iterator raises Cancelled.
            decode: False for a caller who wants the codes alone: one chunk of 0 samples.

        Raises:
            InvalidInput: this checkpoint can't do what is asked.
            Overloaded: too many requests are waiting.
            RuntimeError: the engine was closed.
        """
        self._check(request)
        generation = Generation(request, self.sample_rate, cancelled, decode)
        with self._admission:
            if self._closed:
                raise RuntimeError("the engine is closed")
            try:
                self._waiting.put_nowait(generation)
            except queue.Full:
                raise Overloaded(f"{self._waiting.maxsize} requests are waiting already: try again later") from None
        return generation

    def close(self) -> None:
        """Finishes what is waiting, then stops the worker."""
        with self._admission:
            self._closed = True
        self._waiting.put(None)
        self._worker.join()

    def _check(self, request: GenerationRequest) -> None:
        if request.top_k > self.card:
            raise InvalidInput("top_k", request.top_k, f"must be between 0 and {self.card}, the codebook's size")
        if request.melody is not None and not self.takes_melody:
            raise InvalidInput("melody", "audio", f"checkpoint {self._model.name!r} has no melody conditioning")
        if request.decoder == "multiband_diffusion" and self._diffusion_decoder is None:
            raise InvalidInput("decoder", request.decoder, "this model has no MultiBand Diffusion; use encodec")
        if request.continuation is not None:
            self._check_continuation(request, request.continuation)

    def _check_continuation(self, request: GenerationRequest, prompt: Waveform) -> None:
        seconds = prompt.shape[-1] / self.sample_rate
        frames = math.ceil(prompt.shape[-1] * self.frame_rate / self.sample_rate)
        if frames >= int(self._model.max_duration * self.frame_rate):
            raise InvalidInput(
                "continuation", f"{seconds:.2f} s", f"must be shorter than {self._model.max_duration:g} seconds"
            )
        if frames >= int(request.duration * self.frame_rate):
            raise InvalidInput(
                "duration", request.duration, f"must be longer than the continuation, which lasts {seconds:.2f} seconds"
            )

    def _run(self) -> None:
        while (generation := self._waiting.get()) is not None:
            try:
                self._serve(generation)
                generation.emit(None)
            except Exception as error:  # whatever stops a request is its caller's to see; the next one runs
                generation.emit(error)

    @torch.inference_mode()
    def _serve(self, generation: Generation) -> None:
        request = generation.request
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(generation.seed)
            tokens = self._generate_tokens(generation)
        codes: Codes = tokens[0].to(torch.int32).cpu().numpy()
        if not generation.decode:
            generation.emit(Chunk(np.zeros((self.channels, 0), np.float32), codes))
            return
        if request.decoder == "multiband_diffusion":
            assert self._diffusion_decoder is not None  # checked at submission
            waveform = self._diffusion_decoder(codes, generation.seed)
        else:
            waveform = self._decode(tokens)
        for start, stop in _chunk_bounds(waveform.shape[-1], round(request.chunk_seconds * self.sample_rate)):
            last = stop == waveform.shape[-1]
            generation.emit(Chunk(waveform[:, start:stop], codes if last else None))

    def _decode(self, tokens: torch.Tensor) -> Waveform:
        """[1, codebooks, frames] -> [channels, samples]."""
        # On CPU, oneDNN prepares its transposed convolutions for every new length anew: a minute for 300 seconds.
        with torch.backends.mkldnn.flags(enabled=False):
            waveform: Waveform = self._model.generate_audio(tokens)[0].float().cpu().numpy()
        return waveform

    def _generate_tokens(self, generation: Generation) -> torch.Tensor:
        """Returns int64 [1, codebooks, frames]."""
        request, model = generation.request, self._model
        duration = request.duration
        if duration > model.max_duration:
            # Whole frames and a half: upstream's window arithmetic on floats loses one otherwise (36.4 s), and fails.
            duration = (int(duration * self.frame_rate) + 0.5) / self.frame_rate
        model.set_generation_params(
            duration=duration,
            # Nearer to 0 the division of the logits overflows; the likeliest token has all the probability anyway.
            temperature=request.temperature if request.temperature > 1e-6 else 0.0,
            top_k=request.top_k,
            top_p=request.top_p,
            cfg_coef=request.cfg_coef,
        )

        def stop_if_cancelled(_done: int, _total: int) -> None:
            if generation.cancelled():
                raise Cancelled("the caller cancelled the request")

        stop_if_cancelled(0, 0)
        model.set_custom_progress_callback(stop_if_cancelled)
        prompt = None if request.continuation is None else torch.from_numpy(request.continuation)[None]
        conditions = {} if request.melody is None else {"melody_wavs": [torch.from_numpy(request.melody)]}
        attributes, prompt_tokens = model._prepare_tokens_and_attributes([request.text], prompt, **conditions)
        tokens: torch.Tensor = model._generate_tokens(attributes, prompt_tokens, progress=True)
        return tokens


def _chunk_bounds(samples: int, chunk: int) -> Iterator[tuple[int, int]]:
    for start in range(0, samples, chunk):
        yield start, min(start + chunk, samples)
