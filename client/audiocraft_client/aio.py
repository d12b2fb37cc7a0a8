"""The client for asyncio programs, with the same calls as `Client`, as coroutines."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from audiocraft_client import calls
from audiocraft_client._contract import DEFAULT_DECODER
from audiocraft_client.calls import AudioSource, Call, GenerationOptions, Tensor
from audiocraft_client.errors import AudioCraftError, InvalidRequest
from audiocraft_client.results import Analysis, Audio, Chunk, Codes, Health
from audiocraft_client.transports import AsyncStreamingTransport, AsyncTransport, connect_async

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Self, Unpack

Result = TypeVar("Result")


class AsyncClient:
    """`Client` for asyncio: the same methods, arguments, results and errors, as coroutines.

    A client belongs to one event loop; any number of its tasks may share it. Cancelling a task
    cancels its request.

    Args:
        server: "localhost:8001" or "grpc://localhost:8001" for gRPC, "http://localhost:8000" for HTTP.
        timeout: seconds a call, or a whole stream, may take.
        transport: replaces the transport that the address implies.
    """

    def __init__(
        self,
        server: str = "localhost:8001",
        *,
        timeout: float = calls.TIMEOUT_SECONDS,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._transport = transport or connect_async(server, timeout)
        self._datatypes: dict[str, dict[str, str]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def streams(self) -> bool:
        """Whether `stream` works: over gRPC it does, over HTTP it does not."""
        return isinstance(self._transport, AsyncStreamingTransport)

    async def close(self) -> None:
        """See `Client.close`."""
        await self._transport.close()

    async def music(self, text: str, **options: Unpack[GenerationOptions]) -> Audio:
        """See `Client.music`."""
        return await self._run(calls.generate("music", text, options))

    async def sound(self, text: str, **options: Unpack[GenerationOptions]) -> Audio:
        """See `Client.sound`."""
        return await self._run(calls.generate("sound", text, options))

    async def stream(
        self,
        text: str,
        model: str = "music",
        chunk_seconds: float | None = None,
        **options: Unpack[GenerationOptions],
    ) -> AsyncGenerator[Chunk, None]:
        """See `Client.stream`. This is an async generator, and `aclose()` cancels the request.

        Leaving an `async for` early doesn't close its generator: wrap it in `contextlib.aclosing`.
        """
        if not isinstance(self._transport, AsyncStreamingTransport):
            raise InvalidRequest(calls.STREAM_NEEDS_GRPC)
        call = calls.stream(model, text, chunk_seconds, options)
        responses = self._transport.stream(call.model, await self._tensors(call), call.outputs)
        async with aclosing(responses):
            async for outputs in responses:
                chunk = call.read(outputs)
                if chunk is not None:
                    yield chunk

    async def encode(self, file: AudioSource) -> Codes:
        """See `Client.encode`."""
        return await self._run(calls.encode(file))

    async def decode(
        self, codes: Codes | ArrayLike, decoder: str = DEFAULT_DECODER, *, seed: int | None = None
    ) -> Audio:
        """See `Client.decode`."""
        return await self._run(calls.decode(codes, decoder, seed))

    async def analyze(self, file: AudioSource, threshold: float | None = None, feature_maps: bool = False) -> Analysis:
        """See `Client.analyze`."""
        return await self._run(calls.analyze(file, threshold, feature_maps))

    async def health(self) -> Health:
        """See `Client.health`."""
        try:
            return await self._transport.health()
        except AudioCraftError as error:
            return Health("unreachable", None, {}, str(error))

    async def _run(self, call: Call[Result]) -> Result:
        return call.read(await self._transport.infer(call.model, await self._tensors(call), call.outputs))

    async def _tensors(self, call: Call[Result]) -> list[Tensor]:
        if call.model not in self._datatypes:
            self._datatypes[call.model] = await self._transport.datatypes(call.model)
        return call.tensors(self._datatypes[call.model])
