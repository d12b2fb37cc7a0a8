"""The decoupled frontend of a generation model: it holds the engine and sends chunks as soon as they are ready."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from audiocraft_triton import Engine, GenerationRequest
from audiocraft_triton.audio.files import Waveform
from audiocraft_triton.checkpoints.layout import LM_FILE, resolve
from audiocraft_triton.checkpoints.precision import stored_precision
from audiocraft_triton.contract.models import AUDIO_READER, MULTIBAND_DIFFUSION
from audiocraft_triton.contract.parameters import WHOLE_CLIP
from audiocraft_triton.engine.handle import Chunk, Codes, GenerationHandle
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.cancellation import Watcher
from audiocraft_triton.serving.adapters.frames import Values
from audiocraft_triton.serving.adapters.generation_inputs import AUDIO_INPUTS, read_values
from audiocraft_triton.serving.adapters.metrics import MetricsPublisher
from audiocraft_triton.serving.adapters.rpc import RpcServer, ServerCall
from audiocraft_triton.serving.adapters.settings import Settings


class GenerationStreamModel:
    """One engine for all callers of this instance; one thread per request waits for the engine's chunks."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads the checkpoint and warms up, so that READY means that the model works at full speed."""
        # A thread that wants the interpreter lock waits this long before it requests it. The default of 5 ms is longer
        # than two of the engine's steps on a GPU, and the threads that send chunks would make the engine wait.
        sys.setswitchinterval(0.0005)
        settings = Settings(args)
        max_waiting = int(settings.get("max_waiting"))
        self._engine = Engine(
            settings.get("checkpoint"),
            device=settings.device,
            dtype=settings.chosen("dtype"),
            slots=int(slots) if (slots := settings.chosen("slots")) else None,
            max_waiting=max_waiting,
            diffusion_decoder=_diffuse if settings.flag("multiband_diffusion") else None,
            cuda_graphs=settings.flag("cuda_graphs"),
        )
        precision = stored_precision(resolve(settings.get("checkpoint")), LM_FILE)
        pb_utils.Logger.log_info(
            f"{settings.model}: checkpoint {settings.get('checkpoint')}, language model stored in precision {precision}"
        )
        self._engine.warm_up()
        # More threads than the engine admits requests: the engine, not this pool, decides which ones are refused.
        self._threads = ThreadPoolExecutor(self._engine.slots + max_waiting + 32, thread_name_prefix="generation")
        self._watcher = Watcher()
        self._publisher = self._publish_metrics(settings)
        self._rpc = RpcServer(settings.model, self._answer)

    def execute(self, requests: list[Any]) -> None:
        """Hands each request to a thread; responses go through its sender."""
        for request in requests:
            self._threads.submit(self._serve, request, request.get_response_sender())

    def finalize(self) -> None:
        """Lets running requests finish."""
        self._rpc.close()
        self._threads.shutdown(wait=True)
        self._watcher.close()
        self._engine.close()
        if self._publisher is not None:
            self._publisher.close()

    def _publish_metrics(self, settings: Settings) -> MetricsPublisher | None:
        try:
            return MetricsPublisher(self._engine.metrics, settings.public_name, settings.device)
        except Exception as error:  # a server without metrics can still serve
            pb_utils.Logger.log_warn(f"{settings.model} has no metrics of its own: {error}")
            return None

    def _serve(self, request: Any, sender: Any) -> None:
        """Serves a streaming caller: sends each chunk as soon as it is ready."""
        last = None
        try:
            decode = "waveform" in request.requested_output_names()
            generation = self._engine.submit(self._request(read_values(request)), decode=decode)
            with self._watcher.watching(request, generation.cancel):
                for chunk in generation:
                    sender.send(_response(generation, chunk, request))
        except Exception as error:  # every caller gets an answer, even after an unexpected error
            last = tensors.error_response(error, request)
        tensors.send_final(sender, last)

    def _answer(self, call: ServerCall) -> Values:
        """Answers a call of the unary frontend: the whole clip at once, or an error's status and message."""
        try:
            values = dict(call.values)
            decode = values.pop("decode")
            request = self._request({**values, "chunk_seconds": WHOLE_CLIP})
            generation = self._engine.submit(request, decode=decode)
            call.on_disconnect(generation.cancel)
            clip = generation.result()
        except Exception as error:  # every caller gets an answer, even after an unexpected error
            return {"error": tensors.described(error)}
        return {
            "waveform": clip.waveform,
            "codes": clip.codes[None],
            "sample_rate": [clip.sample_rate],
            "seed": [clip.seed],
        }

    def _request(self, values: dict[str, Any]) -> GenerationRequest:
        audio = {name: self._read_audio(values[name], name) for name in AUDIO_INPUTS if name in values}
        return GenerationRequest(**{**values, **audio})

    def _read_audio(self, data: bytes, name: str) -> Waveform:
        inputs = [
            tensors.tensor("audio_file", [data], "BYTES"),
            tensors.tensor("field", [name.encode()], "BYTES"),
            tensors.tensor("sample_rate", [self._engine.sample_rate], "INT32"),
            tensors.tensor("channels", [self._engine.channels], "INT32"),
        ]
        (waveform,) = tensors.call(AUDIO_READER, inputs, ["waveform"])
        return np.array(waveform[0])


def _response(generation: GenerationHandle, chunk: Chunk, request: Any) -> Any:
    outputs = {
        "waveform": tensors.tensor("waveform", chunk.waveform, "FP32"),
        "sample_rate": tensors.tensor("sample_rate", [generation.sample_rate], "INT32"),
        "seed": tensors.tensor("seed", [generation.seed], "INT64"),
    }
    if chunk.codes is not None:
        outputs["codes"] = tensors.tensor("codes", chunk.codes[None], "INT32")
    return tensors.response(request, outputs)


def _diffuse(codes: Codes, seed: int) -> Waveform:
    inputs = [tensors.tensor("codes", codes[None], "INT32"), tensors.tensor("seed", [[seed]], "INT64")]
    (waveform,) = tensors.call(MULTIBAND_DIFFUSION, inputs, ["waveform"])
    return np.array(waveform[0])
