"""Transports to Triton over gRPC, for threads and for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import InferResult, service_pb2_grpc
from tritonclient.grpc import service_pb2 as messages
from tritonclient.utils import serialize_byte_tensor

from audiocraft_client._contract import MODELS
from audiocraft_client.calls import HEALTH_SECONDS, Arrays, Tensors
from audiocraft_client.errors import ServerFailure, from_status
from audiocraft_client.results import Health

_CHANNEL_OPTIONS = (
    # 300 s of audio is 38 MB; gRPC's own limit for a message is 4 MB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Without this, a client would go on failing for up to two minutes after its server restarted.
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Spreads requests over all addresses of a name (a headless Service's pods); gRPC's default uses only the first.
    ("grpc.lb_policy_name", "round_robin"),
)
# Without this header, Triton reports a stream's error as text, without its status.
_STREAM_METADATA = (("triton_grpc_error", "true"),)


class GrpcTransport:
    """Transport over gRPC, with one channel for all threads."""

    # This uses the generated stub, because tritonclient's own class allows a single stream per client, and
    # leaves a thread behind for each cancelled stream.
    def __init__(self, address: str, timeout: float) -> None:
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def datatypes(self, model: str) -> dict[str, str]:
        with _errors():
            request = messages.ModelMetadataRequest(name=model)
            return _datatypes(self._stub.ModelMetadata(request, timeout=self._timeout))

    def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays:
        with _errors():
            request = _request(model, tensors, outputs)
            return _arrays(self._stub.ModelInfer(request, timeout=self._timeout))

    def stream(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Generator[Arrays, None, None]:
        requests = iter([_request(model, tensors, outputs)])
        with _errors():
            responses = self._stub.ModelStreamInfer(requests, timeout=self._timeout, metadata=_STREAM_METADATA)
            try:
                for response in responses:
                    yield _stream_arrays(response)
            finally:
                responses.cancel()  # has no effect on a stream that has ended

    def health(self) -> Health:
        with _errors():
            seconds = min(self._timeout, HEALTH_SECONDS)
            version = self._stub.ServerMetadata(messages.ServerMetadataRequest(), timeout=seconds).version
            ready = self._stub.ServerReady(messages.ServerReadyRequest(), timeout=seconds).ready
            models = {
                name: self._stub.ModelReady(messages.ModelReadyRequest(name=name), timeout=seconds).ready
                for name in MODELS
            }
            return Health.of(ready, version, models)

    def close(self) -> None:
        self._channel.close()


class AsyncGrpcTransport:
    """Transport over gRPC for asyncio."""

    def __init__(self, address: str, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._channel: Any = None
        self._opened: Any = None

    @property
    def _stub(self) -> Any:
        # A channel belongs to the event loop in which it is made, which may not run yet in __init__.
        if self._opened is None:
            self._channel = grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS)
            self._opened = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self._opened

    async def datatypes(self, model: str) -> dict[str, str]:
        with _errors():
            request = messages.ModelMetadataRequest(name=model)
            return _datatypes(await self._stub.ModelMetadata(request, timeout=self._timeout))

    async def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays:
        with _errors():
            request = _request(model, tensors, outputs)
            return _arrays(await self._stub.ModelInfer(request, timeout=self._timeout))

    async def stream(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> AsyncGenerator[Arrays, None]:
        requests = [_request(model, tensors, outputs)]
        with _errors():
            responses = self._stub.ModelStreamInfer(requests, timeout=self._timeout, metadata=_STREAM_METADATA)
            try:
                async for response in responses:
                    yield _stream_arrays(response)
            finally:
                responses.cancel()

    async def health(self) -> Health:
        with _errors():
            seconds = min(self._timeout, HEALTH_SECONDS)
            metadata = await self._stub.ServerMetadata(messages.ServerMetadataRequest(), timeout=seconds)
            ready = await self._stub.ServerReady(messages.ServerReadyRequest(), timeout=seconds)
            models = {
                name: (await self._stub.ModelReady(messages.ModelReadyRequest(name=name), timeout=seconds)).ready
                for name in MODELS
            }
            return Health.of(ready.ready, metadata.version, models)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()


def _request(model: str, tensors: Tensors, outputs: Sequence[str]) -> Any:
    request = messages.ModelInferRequest(model_name=model)
    for tensor in tensors:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.data.shape)
        content = serialize_byte_tensor(tensor.data).item() if tensor.datatype == "BYTES" else tensor.data.tobytes()
        request.raw_input_contents.append(content)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def _arrays(response: Any) -> Arrays:
    result = InferResult(response)
    return {output.name: result.as_numpy(output.name) for output in response.outputs}


def _stream_arrays(response: Any) -> Arrays:
    if response.error_message:  # the server is too old for the status header
        raise ServerFailure(response.error_message)
    return _arrays(response.infer_response)


def _datatypes(metadata: Any) -> dict[str, str]:
    return {tensor.name: tensor.datatype for tensor in metadata.inputs}


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise from_status(error.code().name, error.details() or error.code().name) from error
