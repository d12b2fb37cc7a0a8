"""The client for ordinary, threaded programs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from audiocraft_client import calls
from audiocraft_client._contract import DEFAULT_DECODER
from audiocraft_client.calls import AudioSource, Call, GenerationOptions, Tensor
from audiocraft_client.errors import AudioCraftError, InvalidRequest
from audiocraft_client.results import Analysis, Audio, Chunk, Codes, Health
from audiocraft_client.transports import StreamingTransport, Transport, connect

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Self, Unpack

Result = TypeVar("Result")


class Client:
    """Talks to one server. Many threads may share a client.

    Every method raises an `AudioCraftError`: `InvalidRequest` for bad input, `Overloaded` when the queue
    is full, `ServerUnreachable`, `DeadlineExceeded`, `Cancelled`, or `ServerFailure`. A file that can't be
    read raises OSError. Audio is given as a path, the bytes of a file, an open binary file, or an `Audio`.

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
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport or connect(server, timeout)
        self._datatypes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def streams(self) -> bool:
        """Whether `stream` works: over gRPC it does, over HTTP it does not."""
        return isinstance(self._transport, StreamingTransport)

    def close(self) -> None:
        """Closes the connections; the client can't be used afterwards."""
        self._transport.close()

    def music(self, text: str, **options: Unpack[GenerationOptions]) -> Audio:
        """Generates music from a description; with "" the model generates unconditionally.

        The options are those of `GenerationOptions`. One that is missing or None is not sent; the server's default
        applies.
        """
        return self._run(calls.generate("music", text, options))

    def sound(self, text: str, **options: Unpack[GenerationOptions]) -> Audio:
        """Generates a sound effect from a description; the options are the same as for `music`."""
        return self._run(calls.generate("sound", text, options))

    def stream(
        self,
        text: str,
        model: str = "music",
        chunk_seconds: float | None = None,
        **options: Unpack[GenerationOptions],
    ) -> Generator[Chunk, None, None]:
        """Generates the same audio as `music` or `sound`, and yields each chunk as soon as it is ready. gRPC only.

        Closing the generator early cancels the request on the server. The generator raises the errors of the stream.

        Args:
            text: as for `music`.
            model: "music" or "sound".
            chunk_seconds: length of a chunk in seconds; None: the server's default.
            options: as for `music`.
        Raises:
            InvalidRequest: at once, if this client uses HTTP.
        """
        if not isinstance(self._transport, StreamingTransport):
            raise InvalidRequest(calls.STREAM_NEEDS_GRPC)
        call = calls.stream(model, text, chunk_seconds, options)
        return self._chunks(call, self._transport.stream(call.model, self._tensors(call), call.outputs))

    def encode(self, file: AudioSource) -> Codes:
        """Encodes a clip as EnCodec codes."""
        return self._run(calls.encode(file))

    def decode(self, codes: Codes | ArrayLike, decoder: str = DEFAULT_DECODER, *, seed: int | None = None) -> Audio:
        """Decodes codes to a clip.

        Args:
            codes: `Codes`, or integers of shape [codebooks, frames] or [1, codebooks, frames].
            decoder: "encodec", or "multiband_diffusion", which sounds better and takes longer.
            seed: seed of the noise that multiband_diffusion starts from; for that decoder only.
        """
        return self._run(calls.decode(codes, decoder, seed))

    def analyze(self, file: AudioSource, threshold: float | None = None, feature_maps: bool = False) -> Analysis:
        """Scores how real a clip sounds to the discriminators.

        Args:
            file: the clip.
            threshold: least realness for which `is_real` is true, 0 to 1.
            feature_maps: also return the mean of each channel of each layer, per window.
        """
        return self._run(calls.analyze(file, threshold, feature_maps))

    def health(self) -> Health:
        """Returns the server's state. If the server can't be reached, that is "unreachable", with the reason."""
        try:
            return self._transport.health()
        except AudioCraftError as error:
            return Health("unreachable", None, {}, str(error))

    def _run(self, call: Call[Result]) -> Result:
        return call.read(self._transport.infer(call.model, self._tensors(call), call.outputs))

    def _tensors(self, call: Call[Result]) -> list[Tensor]:
        # Two threads may both send the first query; they get the same answer.
        if call.model not in self._datatypes:
            self._datatypes[call.model] = self._transport.datatypes(call.model)
        return call.tensors(self._datatypes[call.model])

    @staticmethod
    def _chunks(
        call: Call[Chunk | None], responses: Generator[calls.Outputs, None, None]
    ) -> Generator[Chunk, None, None]:
        try:
            for outputs in responses:
                chunk = call.read(outputs)
                if chunk is not None:
                    yield chunk
        finally:
            responses.close()  # cancels the request if it is still running
