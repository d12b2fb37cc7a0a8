"""The transports' interfaces, and the choice of a transport by address."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from audiocraft_client.calls import Arrays, Tensors
from audiocraft_client.errors import InvalidRequest
from audiocraft_client.grpc_transports import AsyncGrpcTransport, GrpcTransport
from audiocraft_client.http_transports import AsyncHttpTransport, HttpTransport
from audiocraft_client.results import Health


class Transport(Protocol):
    """Carries calls to a server. Every method raises AudioCraftError, and any thread may call it."""

    def datatypes(self, model: str) -> dict[str, str]:
        """Returns the model's inputs: name -> Triton datatype."""

    def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays:
        """Sends a request, and returns its one response: output name -> array."""

    def health(self) -> Health:
        """Returns the server's state; raises ServerUnreachable if it can't be reached."""

    def close(self) -> None:
        """Closes the connections."""


@runtime_checkable
class StreamingTransport(Transport, Protocol):
    """A transport that can carry many responses to one request."""

    def stream(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Generator[Arrays, None, None]:
        """Sends a request, and yields its responses. Closing the generator cancels the request."""


class AsyncTransport(Protocol):
    """`Transport` for asyncio; each instance belongs to one event loop."""

    async def datatypes(self, model: str) -> dict[str, str]: ...
    async def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays: ...
    async def health(self) -> Health: ...
    async def close(self) -> None: ...


@runtime_checkable
class AsyncStreamingTransport(AsyncTransport, Protocol):
    """`StreamingTransport` for asyncio."""

    def stream(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> AsyncGenerator[Arrays, None]: ...


def connect(server: str, timeout: float) -> Transport:
    """Makes the transport for an address; the first call opens its connections."""
    scheme, address = parse_address(server)
    return HttpTransport(address, timeout) if scheme == "http" else GrpcTransport(address, timeout)


def connect_async(server: str, timeout: float) -> AsyncTransport:
    """Makes the asyncio transport for an address; the first call opens its connections."""
    scheme, address = parse_address(server)
    return AsyncHttpTransport(address, timeout) if scheme == "http" else AsyncGrpcTransport(address, timeout)


def parse_address(server: str) -> tuple[str, str]:
    """Splits an address: "http://host" -> ("http", "host:8000"), "host" or "grpc://host" -> ("grpc", "host:8001").

    Raises:
        InvalidRequest: the scheme is another, or the host is missing.
    """
    scheme, separator, rest = server.partition("://")
    if not separator:
        scheme, rest = "grpc", server
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if scheme not in ("grpc", "http") or not host:
        raise InvalidRequest(f"server {server!r}: give host:port or grpc://host:port, or http://host:port for HTTP")
    if port is None:
        rest = f"{parts.netloc}:{8000 if scheme == 'http' else 8001}{parts.path}"
    return scheme, rest.rstrip("/")
