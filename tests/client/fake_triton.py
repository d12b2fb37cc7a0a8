"""A Triton that only remembers and repeats: as a transport, and as a real gRPC server."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from audiocraft_client._contract import PARAMETERS, STREAM_MODELS, UNARY_MODELS
from audiocraft_client.results import Health
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc


def _inputs(frontend: str) -> dict[str, str]:
    return {row.name: row.datatype for row in PARAMETERS if row.frontend in ("both", frontend)}


INPUTS = {
    **dict.fromkeys(UNARY_MODELS.values(), _inputs("unary")),
    **dict.fromkeys(STREAM_MODELS.values(), _inputs("stream")),
    "encode": {"audio_file": "BYTES"},
    "decode": {"codes": "INT32", "format": "BYTES", "base64": "BOOL"},
    "multiband_diffusion": {"codes": "INT32", "seed": "INT64"},
    "analyze": {"audio_file": "BYTES", "threshold": "FP32"},
}
RATE = 32_000


def tone(seconds: float = 0.5, channels: int = 1) -> np.ndarray:
    """float32 [channels, samples], half of full scale."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def clip(waveform: np.ndarray, seed: int = 7, **more: np.ndarray) -> dict[str, np.ndarray]:
    """The tensors of one generated clip, or chunk."""
    return {
        "waveform": waveform,
        "sample_rate": np.array([RATE], np.int32),
        "seed": np.array([seed], np.int64),
        **more,
    }


def scores() -> dict[str, np.ndarray]:
    """The tensors of one analysis, two windows."""
    return {
        "mpd_score": np.array([0.25], np.float32),
        "msd_score": np.array([0.5], np.float32),
        "msstftd_score": np.array([0.75], np.float32),
        "realness": np.array([0.5], np.float32),
        "is_real": np.array([True]),
        "calibrated": np.array([False]),
        "window_scores": np.array([[0.25, 0.5, 0.75], [0.125, 0.5, 0.75]], np.float32),
        "window_seconds": np.array([2.0], np.float32),
        "duration": np.array([3.0], np.float32),
    }


class FakeTransport:
    """Answers every call with `answers`, in order; an exception among them is raised."""

    def __init__(self, *answers: Any, health: Health | Exception | None = None) -> None:
        self._answers = list(answers)
        self._health = health
        self.requests: list[tuple[str, dict[str, Any], tuple[str, ...]]] = []
        self.metadata_asked: list[str] = []
        self.stream_closed = self.closed = False

    def datatypes(self, model: str) -> dict[str, str]:
        self.metadata_asked.append(model)
        return INPUTS[model]

    def infer(self, model: str, tensors: Any, outputs: Any) -> Any:
        self.requests.append((model, {tensor.name: tensor for tensor in tensors}, tuple(outputs)))
        return self._next()

    def health(self) -> Health:
        if isinstance(self._health, Exception):
            raise self._health
        assert self._health is not None
        return self._health

    def close(self) -> None:
        self.closed = True

    def _next(self) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeStreamingTransport(FakeTransport):
    """The same over a wire that can stream: the answers are the responses of one stream."""

    def stream(self, model: str, tensors: Any, outputs: Any) -> Generator[Any, None, None]:
        self.requests.append((model, {tensor.name: tensor for tensor in tensors}, tuple(outputs)))
        return self._responses()

    def _responses(self) -> Generator[Any, None, None]:
        try:
            while self._answers:
                yield self._next()
        finally:
            self.stream_closed = True


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Triton's wire with a canned behaviour: the text of a request says what is to happen to it.

    "fail <STATUS> <message>" ends the call so, "endless" streams until cancelled, "hang" doesn't answer,
    anything else gets a clip of `waveform`, or three chunks.
    """

    def __init__(self, waveform: np.ndarray) -> None:
        self.waveform = waveform
        self.cancelled = threading.Event()

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return messages.ServerMetadataResponse(name="triton", version="2.51.0")

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return messages.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return messages.ModelReadyResponse(ready=request.name == "mpd")

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        response = messages.ModelMetadataResponse(name=request.name)
        for name, datatype in INPUTS[request.name].items():
            response.inputs.add(name=name, datatype=datatype, shape=[1])
        return response

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._obey(request, context)
        return self._clip(request, self.waveform)

    def ModelStreamInfer(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        context.add_callback(self.cancelled.set)
        request = next(request_iterator)
        text = request.raw_input_contents[0][4:].decode()
        for index in range(1_000_000 if text == "endless" else 3):
            if index == 1:
                self._obey(request, context)
            yield messages.ModelStreamInferResponse(infer_response=self._clip(request, self.waveform))
        yield messages.ModelStreamInferResponse(infer_response=messages.ModelInferResponse())

    def _obey(self, request: Any, context: Any) -> None:
        text = request.raw_input_contents[0][4:].decode()
        if text.startswith("fail "):
            _, status, message = text.split(" ", 2)
            context.abort(grpc.StatusCode[status], message)
        if text == "hang":
            threading.Event().wait(2)

    def _clip(self, request: Any, waveform: np.ndarray) -> Any:
        response = messages.ModelInferResponse(model_name=request.model_name)
        types = {"waveform": "FP32", "sample_rate": "INT32", "seed": "INT64"}
        for name, array in clip(waveform).items():
            if name in [output.name for output in request.outputs]:
                response.outputs.add(name=name, datatype=types[name], shape=array.shape)
                response.raw_output_contents.append(array.tobytes())
        return response


@contextmanager
def grpc_server(servicer: Servicer) -> Iterator[str]:
    """Serves on a free loopback port; yields the address."""
    unlimited = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    server = grpc.server(futures.ThreadPoolExecutor(8), options=unlimited)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
