"""The engine: takes requests from any thread, generates them together, and delivers each one's sound as it is made."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch

from audiocraft_triton.contract.errors import InvalidRequest, Overloaded
from audiocraft_triton.contract.parameters import BY_NAME, WHOLE_CLIP
from audiocraft_triton.engine.codec.sound import DiffusionDecoder
from audiocraft_triton.engine.handle import Audio, GenerationHandle
from audiocraft_triton.engine.lm.memory import ROWS, fitting_slots
from audiocraft_triton.engine.lm.row_independence import with_independent_rows
from audiocraft_triton.engine.lm.slots import Slots
from audiocraft_triton.engine.model import GenerativeModel
from audiocraft_triton.engine.request import GenerationRequest
from audiocraft_triton.engine.scheduling.admission_queue import AdmissionQueue
from audiocraft_triton.engine.scheduling.metrics import EngineMetrics
from audiocraft_triton.engine.scheduling.preparation import Preparation
from audiocraft_triton.engine.scheduling.scheduler import Scheduler

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CPU_SLOTS = 8
MAX_SLOTS = 1024


class Engine:
    """Generates audio with one checkpoint on one device. Thread-safe.

        Engine("demo").generate("calm piano", duration=5).save("clip.wav")

    Attributes:
        device: device on which the engine computes.
        slots: requests that run at once.
        sample_rate: sample rate of all clips in Hz.
        channels: channels of all clips.
        frame_rate: token frames per second.
        card: size of each codebook.
        takes_melody: whether the checkpoint has a melody conditioner.
        metrics: the engine's metrics.

    Args:
        checkpoint: `demo`, `demo-sound`, a directory, or a hub id.
        device: torch device; by default the GPU if there is one.
        dtype: dtype of weights, keys and values: "float32" or "bfloat16" on a CPU, "float16" or "bfloat16" on a GPU;
            the first is the default.
        slots: requests that run at once; by default 8 on a CPU, and on a GPU as many as fit, at most 64.
        max_waiting: requests that may wait in addition to the running ones; further ones raise Overloaded.
        diffusion_decoder: codes [codebooks, frames] and seed -> waveform, for `decoder="multiband_diffusion"`.
        cuda_graphs: False runs everything on a GPU eagerly, about ten times slower. Steps have the same results, but
            text is encoded in float32 instead of TensorFloat-32, so tokens that are almost equally likely can differ.

    Raises:
        CheckpointError: the checkpoint is missing, unsafe or of an unknown kind.
        ValueError: the device does not compute with the dtype, or slots are out of bounds.
    """

    def __init__(
        self,
        checkpoint: str = "demo",
        *,
        device: str | torch.device | None = None,
        dtype: str | None = None,
        slots: int | None = None,
        max_waiting: int = 64,
        diffusion_decoder: DiffusionDecoder | None = None,
        cuda_graphs: bool = True,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        compute = _checked_dtype(dtype, self.device)
        if slots is not None and not 1 <= slots <= MAX_SLOTS:
            raise ValueError(f"slots={slots}: must be between 1 and {MAX_SLOTS:,}")
        with torch.inference_mode():
            model = GenerativeModel.load(checkpoint, self.device, compute)
            self.slots = slots or _fitting_slots(model)
            if self.device.type == "cpu":
                model = replace(model, transformer=with_independent_rows(model.transformer, ROWS * self.slots))
            state = Slots(model.transformer, self.slots, model.columns, model.prefix)
        self.sample_rate = int(model.codec.sample_rate)
        self.channels = int(model.codec.channels)
        self.frame_rate = float(model.codec.frame_rate)
        self.card = model.transformer.weights.card
        self.takes_melody = model.conditioner.takes_melody
        self._max_waiting = max_waiting
        self._can_diffuse = diffusion_decoder is not None
        self._model = model
        self._preparation = Preparation(model, cuda_graphs)
        self._scheduler = Scheduler(model, state, max_waiting, diffusion_decoder, cuda_graphs)
        self.metrics: EngineMetrics = self._scheduler.metrics
        self._closed = False
        self._closing = threading.Lock()

    def generate(self, text: str = "", **parameters: Any) -> Audio:
        """Submits a `GenerationRequest` of these parameters and waits for its clip."""
        return self.submit(GenerationRequest(text=text, **parameters)).result()

    def submit(self, request: GenerationRequest, decode: bool = True) -> GenerationHandle:
        """Prepares a request, then queues it.

        Args:
            request: what to generate.
            decode: False for a caller that needs only the codes: one chunk of 0 samples.

        Raises:
            InvalidRequest: this checkpoint can't serve the request, or the text is too long for it.
            Overloaded: too many requests are waiting.
            RuntimeError: the engine is closed.
        """
        return self._submit(request, decode, wait=False)

    def generate_many(self, requests: Iterable[GenerationRequest], decode: bool = True) -> Iterator[GenerationHandle]:
        """Generates any number of requests, as many at a time as there are slots; yields their handles in order.

            for handle in engine.generate_many(requests):
                handle.result().save(f"{handle.seed}.wav")

        Waits when `submit` would raise Overloaded. Requests are read as handles are taken, and some ahead to keep the
        slots full, so the iterable may be endless; half of the admission queue is left to other callers. An error of a
        request, even a refusal, is raised by its own handle, and the others continue. Leaving the loop early cancels
        the requests that were read ahead.

        Args:
            requests: what to generate.
            decode: as for `submit`.
        """
        ahead: deque[GenerationHandle] = deque()
        most = self.slots + min(self.slots, self._max_waiting // 2)
        try:
            for request in requests:
                while ahead and (ahead[0].ended or len(ahead) == most):
                    yield ahead.popleft()
                ahead.append(self._submitted_or_failed(request, decode))
            while ahead:
                yield ahead.popleft()
        finally:
            for handle in ahead:
                handle.cancel()

    def warm_up(self) -> None:
        """Generates a few clips, so that no caller waits for one-time work: a GPU loads its kernels on first use."""
        if self.device.type != "cuda":
            self.generate(duration=0.1)
            return
        for chunk_seconds in (0.1, BY_NAME["chunk_seconds"].default, WHOLE_CLIP):
            self.generate(duration=4.0, chunk_seconds=chunk_seconds)

    def close(self) -> None:
        """Finishes running and waiting requests, then stops and frees the device's memory."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            scheduler, preparation = self._scheduler, self._preparation
            # Something, such as a caught error's traceback, may keep this engine; it must not keep these objects.
            del self._model, self._scheduler, self._preparation
        scheduler.close()
        preparation.close()
        del scheduler, preparation
        gc.collect()  # depending on their versions, modules of audiocraft and transformers refer to themselves

    def _submitted_or_failed(self, request: GenerationRequest, decode: bool) -> GenerationHandle:
        try:
            return self._submit(request, decode, wait=True)
        except Exception as error:  # belongs to this request: its handle raises it
            handle = GenerationHandle(request, self.sample_rate, decode)
            handle.end(error, lambda: None)
            return handle

    def _submit(self, request: GenerationRequest, decode: bool, wait: bool) -> GenerationHandle:
        model, preparation, waiting = self._open()
        self._check(request, model)
        try:
            waiting.reserve(wait=wait)
        except Overloaded:
            self.metrics.ended("rejected")
            raise
        generation = GenerationHandle(request, self.sample_rate, decode)
        try:
            prepared = preparation.prepare(request)
        except BaseException:
            waiting.give_back()
            raise
        waiting.enter(generation, prepared)
        return generation

    def _open(self) -> tuple[GenerativeModel, Preparation, AdmissionQueue]:
        with self._closing:
            if self._closed:
                raise RuntimeError("the engine is closed")
            return self._model, self._preparation, self._scheduler.waiting

    def _check(self, request: GenerationRequest, model: GenerativeModel) -> None:
        if request.top_k is not None and request.top_k > self.card:
            raise InvalidRequest("top_k", request.top_k, f"must be between 0 and {self.card}, the codebook's size")
        if request.melody is not None and not self.takes_melody:
            raise InvalidRequest("melody", "audio", f"checkpoint {model.name!r} has no melody conditioning")
        if request.decoder == "multiband_diffusion" and not self._can_diffuse:
            raise InvalidRequest("decoder", request.decoder, "this model has no MultiBand Diffusion; use encodec")
        if request.continuation is not None:
            seconds = request.continuation.shape[-1] / self.sample_rate
            frames = model.frames_of(request.continuation)
            if frames >= model.window:
                raise InvalidRequest(
                    "continuation", f"{seconds:.2f} s", f"must be shorter than {model.max_duration:g} seconds"
                )
            if frames >= int(request.duration * self.frame_rate):
                raise InvalidRequest(
                    "duration",
                    request.duration,
                    f"must be longer than the continuation, which lasts {seconds:.2f} seconds",
                )


def _fitting_slots(model: GenerativeModel) -> int:
    device = model.transformer.device
    if device.type != "cuda":
        return CPU_SLOTS
    free, _total = torch.cuda.mem_get_info(device)
    return fitting_slots(free, model.slot_bytes)


def _checked_dtype(name: str | None, device: torch.device) -> torch.dtype:
    choices = ("float16", "bfloat16") if device.type == "cuda" else ("float32", "bfloat16")
    if name is None:
        name = choices[0]
    if name not in choices:
        raise ValueError(f"dtype={name!r}: must be {' or '.join(choices)} on {device.type}")
    return DTYPES[name]
