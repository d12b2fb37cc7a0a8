"""The unary frontend of a generation model: asks the engine in the process of its `_stream` sibling for the whole clip.

Triton refuses plain `infer` on decoupled models, and each model is a separate process. So only the stream model has
an engine; this model holds no weights and calls it. All unary and streaming callers share one engine. When a caller
cancels its request or disconnects, the call to the engine is cancelled, too.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from audiocraft_triton.contract.errors import Overloaded
from audiocraft_triton.contract.models import STREAM_SUFFIX
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.audio_output import AudioOutput
from audiocraft_triton.serving.adapters.cancellation import Watcher
from audiocraft_triton.serving.adapters.frames import Values
from audiocraft_triton.serving.adapters.generation_inputs import read_values
from audiocraft_triton.serving.adapters.rpc import RpcClient
from audiocraft_triton.serving.adapters.settings import Settings

_DATATYPES = {"waveform": "FP32", "sample_rate": "INT32", "seed": "INT64", "codes": "INT32"}


class GenerationUnaryModel:
    """Answers each request from a thread that waits for the engine."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Finds the stream sibling by name; loads nothing."""
        settings = Settings(args)
        limit = int(settings.get("max_concurrent"))
        self._engine = RpcClient(settings.model + STREAM_SUFFIX)
        self._places = threading.BoundedSemaphore(limit)
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="unary")
        self._watcher = Watcher()

    def execute(self, requests: list[Any]) -> None:
        """Hands each request to a thread; its response goes through its sender."""
        for request in requests:
            sender = request.get_response_sender()
            if self._places.acquire(blocking=False):
                self._threads.submit(self._serve, request, sender)
            else:
                error = Overloaded("this model's limit of requests in flight is reached: try again later")
                tensors.send_final(sender, tensors.error_response(error, request))

    def finalize(self) -> None:
        """Lets running requests finish."""
        self._threads.shutdown(wait=True)
        self._watcher.close()

    def _serve(self, request: Any, sender: Any) -> None:
        try:
            answer = self._answer(request)
        except Exception as error:  # every caller gets an answer, even after an unexpected error
            answer = tensors.error_response(error, request)
        self._places.release()
        tensors.send_final(sender, answer)

    def _answer(self, request: Any) -> Any:
        chosen = AudioOutput.read(request)
        wanted = set(request.requested_output_names())
        clip = self._clip(request, decode=bool(wanted & {"audio", "waveform"}))
        outputs = {name: tensors.tensor(name, clip[name], datatype) for name, datatype in _DATATYPES.items()}
        if "audio" in wanted:
            outputs["audio"] = chosen.tensor(clip["waveform"], clip["sample_rate"][0])
        return tensors.response(request, outputs)

    def _clip(self, request: Any, decode: bool) -> Values:
        inputs = read_values(request)
        with self._engine.connected() as call, self._watcher.watching(request, call.disconnect):
            clip = call.ask({**inputs, "decode": decode})
        if "error" in clip:
            raise tensors.CalledModelError(*clip["error"])
        return clip
