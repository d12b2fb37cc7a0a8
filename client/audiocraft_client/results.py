"""The results of calls. Waveforms are float32 [channels, samples], nominally within -1 … 1."""

from __future__ import annotations

import base64
import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocraft_client._contract import DISCRIMINATORS, MAX_CODES_BYTES
from audiocraft_client.audio_files import encode_audio, format_of, write_atomically
from audiocraft_client.errors import InvalidRequest

_NOT_CODES = "{}: not a codes file (.npz made by encode)"


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A clip.

    Attributes:
        waveform: float32 [channels, samples].
        sample_rate: hertz.
        seed: the same request with this seed gives the same clip; None where nothing was random.
        codes: int32 [codebooks, frames], if requested.
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    seed: int | None = None
    codes: NDArray[np.int32] | None = None

    @classmethod
    def from_chunks(cls, chunks: Iterable[Chunk]) -> Audio:
        """Joins all chunks of a stream to a clip, which equals the one that the unary call returns.

        Raises:
            InvalidRequest: there are no chunks.
        """
        parts = list(chunks)
        if not parts:
            raise InvalidRequest("no chunks to join: the stream was empty")
        last = parts[-1]
        waveform = np.concatenate([part.waveform for part in parts], axis=1)
        return cls(waveform, last.sample_rate, last.seed, last.codes)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.waveform.shape[1] / self.sample_rate

    def to_bytes(self, format: str = "wav") -> bytes:
        """Encodes the clip as a complete file: "wav" (16-bit), "flac", "ogg", "mp3" or "wav_float" (32-bit, unclipped).

        Raises:
            InvalidRequest: the format is unknown, or can't hold this sample rate.
        """
        return encode_audio(self.waveform, self.sample_rate, format)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file in the format that its suffix names (.wav, .flac, .ogg, .mp3), replacing `path` atomically.

        Raises:
            InvalidRequest: the suffix is none of these.
            OSError: the file can't be written.
        """
        write_atomically(path, self.to_bytes(format_of(path)))

    def _repr_html_(self) -> str:
        """Returns a player for notebooks."""
        data = base64.b64encode(self.to_bytes("wav")).decode("ascii")
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f'<audio controls src="data:audio/wav;base64,{data}"></audio>'
            f"<div>{self.duration:.2f} s, {self.sample_rate} Hz{seed}</div>"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One chunk of a stream.

    Attributes:
        waveform: float32 [channels, samples], following the previous chunk without a gap.
        sample_rate: hertz.
        seed: the whole clip's seed.
        start: seconds from the beginning of the clip.
        index: 0, 1, 2 …
        codes: int32 [codebooks, frames] of the whole clip, on the last chunk, if requested.
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    seed: int
    start: float
    index: int
    codes: NDArray[np.int32] | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.waveform.shape[1] / self.sample_rate


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A clip as EnCodec tokens.

    Attributes:
        codes: int32 [codebooks, frames].
        sample_rate: of the codec, hertz.
        duration: of the clip that was encoded, seconds.
    """

    codes: NDArray[np.int32]
    sample_rate: int
    duration: float

    def to_bytes(self) -> bytes:
        """Returns an .npz file with the arrays `codes`, `sample_rate`, `duration`."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, codes=self.codes, sample_rate=self.sample_rate, duration=self.duration)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the .npz file, replacing `path` atomically."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codes:
        """Reads a file that `save` wrote.

        Raises:
            InvalidRequest: the file is not a codes file.
            OSError: the file can't be read.
        """
        return cls._read(path, os.fspath(path))

    @classmethod
    def from_bytes(cls, data: bytes) -> Codes:
        """Reads the bytes that `to_bytes` made.

        Raises:
            InvalidRequest: the bytes are not a codes file, or unpack to more than MAX_CODES_BYTES.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                size = sum(member.file_size for member in archive.infolist())
        except zipfile.BadZipFile as error:
            raise InvalidRequest(_NOT_CODES.format("codes")) from error
        if size > MAX_CODES_BYTES:
            raise InvalidRequest(f"codes: unpacks to {size:,} bytes, at most {MAX_CODES_BYTES:,} are allowed")
        return cls._read(io.BytesIO(data), "codes")

    @classmethod
    def _read(cls, source: str | os.PathLike[str] | io.BytesIO, name: str) -> Codes:
        try:
            # Pickles are never loaded, since a codes file may come from anybody.
            with np.load(source, allow_pickle=False) as arrays:
                return cls(
                    np.asarray(arrays["codes"], np.int32),
                    int(arrays["sample_rate"]),
                    float(arrays["duration"]),
                )
        except (ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidRequest(_NOT_CODES.format(name)) from error


@dataclass(frozen=True, slots=True)
class FeatureLayer:
    """The columns of `Analysis.feature_maps` that hold one layer's channel means.

    Attributes:
        discriminator: mpd, msd or msstftd.
        part: the discriminator's sub-network (a period, scale or resolution).
        layer: depth within the part.
        channels: number of columns.
        offset: the first column.
    """

    discriminator: str
    part: str | int
    layer: int
    channels: int
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The discriminators' scores of a clip, from 0 (generated) to 1 (real).

    Attributes:
        mpd_score, msd_score, msstftd_score: each discriminator's score of the whole clip.
        realness: the three scores combined.
        is_real: whether realness reached the threshold.
        calibrated: whether the discriminators are calibrated; if not, the verdict means nothing.
        window_scores: float32 [windows, 3], columns mpd, msd, msstftd.
        window_seconds: length of one window in seconds; the last window ends where the clip ends.
        duration: length of the clip in seconds.
        feature_maps: float32 [windows, features], if requested.
        feature_layout: the columns of feature_maps that belong to each layer.
    """

    mpd_score: float
    msd_score: float
    msstftd_score: float
    realness: float
    is_real: bool
    calibrated: bool
    window_scores: NDArray[np.float32]
    window_seconds: float
    duration: float
    feature_maps: NDArray[np.float32] | None = None
    feature_layout: tuple[FeatureLayer, ...] = ()

    @property
    def window_starts(self) -> list[float]:
        """The start of each window in seconds."""
        last = max(self.duration - self.window_seconds, 0.0)
        return [min(index * self.window_seconds, last) for index in range(len(self.window_scores))]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a server.

    Attributes:
        status: "ready" (serves), "live" (answers, but isn't ready) or "unreachable".
        version: version of the Triton server; None if it is unreachable.
        models: for each of the project's models, whether it is ready.
        reason: why the server is unreachable, else None.
    """

    status: str
    version: str | None
    models: Mapping[str, bool]
    reason: str | None = None

    @classmethod
    def of(cls, ready: bool, version: str, models: Mapping[str, bool]) -> Health:
        """Makes the state of a reachable server."""
        return cls("ready" if ready else "live", version, models)

    @property
    def ready(self) -> bool:
        """Whether the server reports that it can take requests."""
        return self.status == "ready"

    @property
    def discriminators(self) -> dict[str, bool]:
        """Whether mpd, msd and msstftd are ready; False for one that the server doesn't have."""
        return {name: self.models.get(name, False) for name in DISCRIMINATORS}
