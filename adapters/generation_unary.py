"""The unary face of a generation model: collects what its `_stream` sibling sends into one response.

Triton refuses plain `infer` on decoupled models, and each model is its own process: so the engine lives in the
stream model alone, and this one, which holds no weights, asks it. All unary and streaming callers share one engine.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from adapters import tensors
from adapters.audio_output import AudioOutput
from adapters.settings import Settings
from engine.errors import Overloaded
from engine.request import PARAMETERS

_FORWARDED = [parameter.name for parameter in PARAMETERS if parameter.face == "both"]


class GenerationUnaryModel:
    """Answers each request from a thread that reads the stream model's chunks."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Finds the stream sibling by name; nothing to load."""
        settings = Settings(args)
        self._stream_model = f"{settings.model}_stream"
        limit = int(settings.get("max_concurrent"))
        self._places = threading.BoundedSemaphore(limit)
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="unary")

    def execute(self, requests: list[Any]) -> None:
        """Hands each request to a thread; its response goes through its sender."""
        for request in requests:
            sender = request.get_response_sender()
            if self._places.acquire(blocking=False):
                self._threads.submit(self._serve, request, sender)
            else:
                error = Overloaded("as many requests as this model takes are under way: try again later")
                tensors.send_final(sender, tensors.error_response(error, request))

    def finalize(self) -> None:
        """Lets what is running end."""
        self._threads.shutdown(wait=True)

    def _serve(self, request: Any, sender: Any) -> None:
        try:
            answer = self._answer(request)
        except Exception as error:  # every caller gets an answer, whatever happened
            answer = tensors.error_response(error, request)
        self._places.release()
        tensors.send_final(sender, answer)

    def _answer(self, request: Any) -> Any:
        chosen = AudioOutput.read(request)
        wanted = set(request.requested_output_names())
        collected = self._collect(request, wanted)
        waveform = np.concatenate(collected["waveform"], axis=1) if collected["waveform"] else None
        outputs: dict[str, Any] = {}
        for name, datatype in (("sample_rate", "INT32"), ("seed", "INT64"), ("codes", "INT32")):
            if collected[name]:
                outputs[name] = tensors.tensor(name, collected[name][-1], datatype)
        if waveform is not None:
            outputs["waveform"] = tensors.tensor("waveform", waveform, "FP32")
            if "audio" in wanted:
                outputs["audio"] = chosen.tensor(waveform, int(collected["sample_rate"][-1][0]))
        return tensors.response(request, outputs)

    def _collect(self, request: Any, wanted: set[str]) -> dict[str, list[Any]]:
        """Every chunk's arrays, by output name."""
        outputs = ["sample_rate", "seed"]
        if wanted & {"audio", "waveform"}:
            outputs.append("waveform")
        if "codes" in wanted:
            outputs.append("codes")
        inputs = [pb_utils.get_input_tensor_by_name(request, name) for name in _FORWARDED]
        collected: dict[str, list[Any]] = {name: [] for name in ("sample_rate", "seed", "waveform", "codes")}
        given = [value for value in inputs if value is not None]
        for part in tensors.call_stream(self._stream_model, given, outputs):
            for value in part.output_tensors():
                collected[value.name()].append(np.array(value.as_numpy()))
        return collected
