"""Triton over HTTP, for threads and for asyncio. These only carry; HTTP has no streaming."""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from geventhttpclient.response import HTTPParseError
from tritonclient.utils import InferenceServerException

from audiocraft_client._contract import MAX_TIMEOUT, MODELS
from audiocraft_client.calls import HEALTH_SECONDS, Arrays, Tensors
from audiocraft_client.errors import DeadlineExceeded, ServerUnreachable, from_status
from audiocraft_client.results import Health


class HttpTransport:
    """HTTP; a connection for each thread, since gevent's can't be shared."""

    def __init__(self, address: str, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        # Weakly: a thread that ends takes its connection with it.
        self._opened: weakref.WeakSet[Any] = weakref.WeakSet()

    def _open(self, seconds: float) -> Any:
        return triton_http.InferenceServerClient(self._address, connection_timeout=seconds, network_timeout=seconds)

    @property
    def _client(self) -> Any:
        if not hasattr(self._local, "client"):
            self._local.client = self._open(self._timeout)
            with self._lock:
                self._opened.add(self._local.client)
        return self._local.client

    def datatypes(self, model: str) -> dict[str, str]:
        with _errors(self._address, self._timeout):
            return _datatypes(self._client.get_model_metadata(model))

    def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays:
        with _errors(self._address, self._timeout):
            return _arrays(self._client.infer(model, **_request(tensors, outputs, self._timeout)))

    def health(self) -> Health:
        seconds = min(self._timeout, HEALTH_SECONDS)
        with _errors(self._address, seconds), self._open(seconds) as client:
            version = client.get_server_metadata()["version"]
            ready = client.is_server_ready()
            return Health.of(ready, version, {name: client.is_model_ready(name) for name in MODELS})

    def close(self) -> None:
        with self._lock:
            for client in list(self._opened):
                client.close()


class AsyncHttpTransport:
    """HTTP for asyncio."""

    def __init__(self, address: str, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._opened: Any = None

    @property
    def _client(self) -> Any:
        # A session belongs to the event loop it is made in, which may not run yet in __init__.
        if self._opened is None:
            self._opened = triton_http_aio.InferenceServerClient(self._address, conn_timeout=self._timeout)
        return self._opened

    async def datatypes(self, model: str) -> dict[str, str]:
        with _errors(self._address, self._timeout):
            return _datatypes(await self._client.get_model_metadata(model))

    async def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays:
        with _errors(self._address, self._timeout):
            return _arrays(await self._client.infer(model, **_request(tensors, outputs, self._timeout)))

    async def health(self) -> Health:
        seconds = min(self._timeout, HEALTH_SECONDS)
        with _errors(self._address, seconds):
            async with triton_http_aio.InferenceServerClient(self._address, conn_timeout=seconds) as client:
                version = (await client.get_server_metadata())["version"]
                ready = await client.is_server_ready()
                models = {name: await client.is_model_ready(name) for name in MODELS}
            return Health.of(ready, version, models)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()


def _request(tensors: Tensors, outputs: Sequence[str], seconds: float) -> dict[str, Any]:
    inputs = []
    for tensor in tensors:
        inputs.append(triton_http.InferInput(tensor.name, list(tensor.data.shape), tensor.datatype))
        inputs[-1].set_data_from_numpy(tensor.data)
    return {
        "inputs": inputs,
        "outputs": [triton_http.InferRequestedOutput(name) for name in outputs],
        # Triton notices no HTTP disconnect before it has an answer: only this ends work nobody waits for.
        "timeout": math.ceil(min(seconds, MAX_TIMEOUT) * 1e6),
    }


def _arrays(result: Any) -> Arrays:
    names = [output["name"] for output in result.get_response()["outputs"]]
    return {name: result.as_numpy(name) for name in names}


def _datatypes(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}


@contextmanager
def _errors(address: str, seconds: float) -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        raise from_status(error.status() or "", error.message()) from error
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise DeadlineExceeded(f"no answer from {address} within {seconds:g} s") from error
    except (OSError, HTTPParseError, aiohttp.ClientError) as error:
        raise ServerUnreachable(f"can't reach {address}: {error}") from error
