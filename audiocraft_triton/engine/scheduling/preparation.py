"""Prepares a request for its slot: encodes its prompt and its conditions.

This runs outside the engine's thread, so that it does not delay running requests; on a GPU it has its own stream.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from audiocraft_triton.engine.device.cuda import new_stream, on_stream
from audiocraft_triton.engine.lm.slots import Conditions
from audiocraft_triton.engine.model import GenerativeModel
from audiocraft_triton.engine.request import GenerationRequest
from audiocraft_triton.engine.scheduling.windows import Window, windows


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for a slot.

    Attributes:
        frames: frames of the whole clip.
        prompt: the clip's first frames, int64 [codebooks, n] on the CPU.
        plan: the clip's windows; the first one is removed when the next begins.
        conditions: conditions of the first window.
    """

    frames: int
    prompt: torch.Tensor
    plan: deque[Window]
    conditions: Conditions


class Preparation:
    """Prepares requests one at a time in a separate thread, so that many callers don't compete for the interpreter.

    Args:
        model: model whose encoders are used.
        graphs: on a GPU, whether the text encoder is captured as CUDA graphs.
    """

    def __init__(self, model: GenerativeModel, graphs: bool) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="preparation")
        self._stream = new_stream(model.transformer.device)
        if self._stream is not None and graphs:
            with torch.inference_mode():
                model.conditioner.capture(self._stream)

    def prepare(self, request: GenerationRequest) -> Prepared:
        """Encodes a request's prompt and conditions; waits for earlier requests.

        Raises:
            InvalidRequest: the text has too many tokens.
        """
        return self._thread.submit(self._prepare, request).result()

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()

    @torch.inference_mode()
    def _prepare(self, request: GenerationRequest) -> Prepared:
        model = self._model
        frames = int(request.duration * model.codec.frame_rate)
        with on_stream(self._stream):
            prompt = model.encode(request.continuation)
            plan = windows(frames, prompt.shape[1], model.window, model.stride)
            conditions = model.condition(request, plan[0], of_several=len(plan) > 1)
            if self._stream is not None:
                self._stream.synchronize()
        return Prepared(frames, prompt, deque(plan), conditions)
