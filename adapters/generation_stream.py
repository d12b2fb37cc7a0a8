"""The decoupled face of a generation model: it holds the engine and sends chunks as they are ready."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from adapters import tensors
from adapters.settings import Settings
from engine import Engine, GenerationRequest
from engine.audio_files import Waveform
from engine.engine import Codes
from engine.request import BY_NAME


class GenerationStreamModel:
    """One engine for all callers of this instance; every request is served by a thread that waits on it."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads the checkpoint and generates once, so that READY means it works."""
        settings = Settings(args)
        max_waiting = int(settings.get("max_waiting"))
        self._engine = Engine(
            settings.get("checkpoint"),
            device=settings.device,
            max_waiting=max_waiting,
            diffusion_decoder=_diffuse if settings.get("multiband_diffusion") == "true" else None,
        )
        self._engine.generate(duration=0.1)
        # More threads than the engine admits: the engine, not this pool, decides who is turned away.
        self._threads = ThreadPoolExecutor(2 * max_waiting + 8, thread_name_prefix="generation")

    def execute(self, requests: list[Any]) -> None:
        """Hands each request to a thread; responses go through its sender."""
        for request in requests:
            self._threads.submit(self._serve, request, request.get_response_sender())

    def finalize(self) -> None:
        """Lets what is running end."""
        self._threads.shutdown(wait=True)
        self._engine.close()

    def _serve(self, request: Any, sender: Any) -> None:
        try:
            decode = "waveform" in request.requested_output_names()
            generation = self._engine.submit(self._read(request), cancelled=request.is_cancelled, decode=decode)
            facts = {
                "sample_rate": tensors.tensor("sample_rate", [generation.sample_rate], "INT32"),
                "seed": tensors.tensor("seed", [generation.seed], "INT64"),
            }
            for chunk in generation:
                outputs = {"waveform": tensors.tensor("waveform", chunk.waveform, "FP32"), **facts}
                if chunk.codes is not None:
                    outputs["codes"] = tensors.tensor("codes", chunk.codes[None], "INT32")
                sender.send(tensors.response(request, outputs))
        except Exception as error:  # every caller gets an answer, whatever happened
            tensors.send_final(sender, tensors.error_response(error, request))
        else:
            tensors.send_final(sender)

    def _read(self, request: Any) -> GenerationRequest:
        tensors.required(request, "text")  # it may be empty, not left out
        values: dict[str, Any] = {"text": tensors.text(request, "text")}
        for name in ("duration", "temperature", "top_k", "top_p", "cfg_coef", "seed", "chunk_seconds"):
            values[name] = tensors.scalar(request, name, BY_NAME[name].default)
        values["decoder"] = tensors.text(request, "decoder", BY_NAME["decoder"].default)
        for name in ("continuation", "melody"):
            if (data := tensors.scalar(request, name)) is not None:
                values[name] = self._read_audio(bytes(data), name)
        return GenerationRequest(**values)

    def _read_audio(self, data: bytes, name: str) -> Waveform:
        inputs = [
            tensors.tensor("audio_file", [data], "BYTES"),
            tensors.tensor("field", [name.encode()], "BYTES"),
            tensors.tensor("sample_rate", [self._engine.sample_rate], "INT32"),
            tensors.tensor("channels", [self._engine.channels], "INT32"),
        ]
        (waveform,) = tensors.call("audio_reader", inputs, ["waveform"])
        return np.array(waveform[0])


def _diffuse(codes: Codes, seed: int) -> Waveform:
    inputs = [tensors.tensor("codes", codes[None], "INT32"), tensors.tensor("seed", [[seed]], "INT64")]
    (waveform,) = tensors.call("multiband_diffusion", inputs, ["waveform"])
    return np.array(waveform[0])
