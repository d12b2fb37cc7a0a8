"""What the clients need of a wire, and which one an address means."""

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
    """What the client needs of a wire. Every method raises AudioCraftError, and any thread may call it."""

    def datatypes(self, model: str) -> dict[str, str]:
        """The model's inputs: name -> Triton datatype."""

    def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays:
        """One request, one response: output name -> array."""

    def health(self) -> Health:
        """The server's state; raises when it can't be reached."""

    def close(self) -> None:
        """Gives the connections back."""


@runtime_checkable
class StreamingTransport(Transport, Protocol):
    """A wire that carries many responses to one request."""

    def stream(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Generator[Arrays, None, None]:
        """One request, many responses. Closing the generator cancels the request."""


class AsyncTransport(Protocol):
    """`Transport` for asyncio; one event loop each."""

    async def datatypes(self, model: str) -> dict[str, str]: ...
    async def infer(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> Arrays: ...
    async def health(self) -> Health: ...
    async def close(self) -> None: ...


@runtime_checkable
class AsyncStreamingTransport(AsyncTransport, Protocol):
    """`StreamingTransport` for asyncio."""

    def stream(self, model: str, tensors: Tensors, outputs: Sequence[str]) -> AsyncGenerator[Arrays, None]: ...


def connect(server: str, timeout: float) -> Transport:
    """The transport for an address; connections are opened by the first call."""
    scheme, address = parse_address(server)
    return HttpTransport(address, timeout) if scheme == "http" else GrpcTransport(address, timeout)


def connect_async(server: str, timeout: float) -> AsyncTransport:
    """The asyncio transport for an address; connections are opened by the first call."""
    scheme, address = parse_address(server)
    return AsyncHttpTransport(address, timeout) if scheme == "http" else AsyncGrpcTransport(address, timeout)


def parse_address(server: str) -> tuple[str, str]:
    """ "http://host" -> ("http", "host:8000"); "host" or "grpc://host" -> ("grpc", "host:8001").

    Raises:
        InvalidRequest: another scheme, or no host.
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
