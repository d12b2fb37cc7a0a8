"""What the calls return. Waveforms are float32 [channels, samples], nominally within -1 … 1."""

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
        seed: what makes the same request give the same clip again; None where nothing was drawn.
        codes: int32 [codebooks, frames], when asked for.
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    seed: int | None = None
    codes: NDArray[np.int32] | None = None

    @classmethod
    def from_chunks(cls, chunks: Iterable[Chunk]) -> Audio:
        """The clip that a whole stream makes: equal to the one the unary call returns.

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
        """A complete file: "wav" (16-bit), "flac", "ogg", "mp3", or "wav_float" (32-bit, not clipped).

        Raises:
            InvalidRequest: unknown format, or one that can't hold this sample rate.
        """
        return encode_audio(self.waveform, self.sample_rate, format)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file its suffix names (.wav, .flac, .ogg, .mp3), replacing `path` atomically.

        Raises:
            InvalidRequest: the suffix is none of these.
            OSError: the file can't be written.
        """
        write_atomically(path, self.to_bytes(format_of(path)))

    def _repr_html_(self) -> str:
        """A player, for notebooks."""
        data = base64.b64encode(self.to_bytes("wav")).decode("ascii")
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f'<audio controls src="data:audio/wav;base64,{data}"></audio>'
            f"<div>{self.duration:.2f} s, {self.sample_rate} Hz{seed}</div>"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """The next piece of a stream.

    Attributes:
        waveform: float32 [channels, samples], following the previous chunk without a gap.
        sample_rate: hertz.
        seed: the whole clip's seed.
        start: seconds from the beginning of the clip.
        index: 0, 1, 2 …
        codes: int32 [codebooks, frames] of the whole clip, on the last chunk, when asked for.
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
        """An .npz file with the arrays `codes`, `sample_rate`, `duration`."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, codes=self.codes, sample_rate=self.sample_rate, duration=self.duration)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the .npz file, replacing `path` atomically."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codes:
        """Reads what `save` wrote.

        Raises:
            InvalidRequest: the file is something else.
            OSError: the file can't be read.
        """
        return cls._read(path, os.fspath(path))

    @classmethod
    def from_bytes(cls, data: bytes) -> Codes:
        """Reads what `to_bytes` made.

        Raises:
            InvalidRequest: it is something else, or unpacks to more than codes could take.
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
            # Never pickles: a codes file may come from anybody.
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
    """Where one layer's channel means lie in a row of `Analysis.feature_maps`.

    Attributes:
        discriminator: mpd, msd or msstftd.
        part: which of the discriminator's sub-networks (period, scale, resolution).
        layer: depth within the part.
        channels: how many columns.
        offset: the first column.
    """

    discriminator: str
    part: str | int
    layer: int
    channels: int
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """How real the discriminators find a clip. Scores run from 0 (generated) to 1 (real).

    Attributes:
        mpd_score, msd_score, msstftd_score: each discriminator's score of the whole clip.
        realness: the three combined.
        is_real: realness reached the threshold.
        calibrated: False means the discriminators carry no calibration, and the verdict means nothing.
        window_scores: float32 [windows, 3], columns mpd, msd, msstftd.
        window_seconds: length of one window, seconds; the last one ends where the clip ends.
        duration: of the clip, seconds.
        feature_maps: float32 [windows, features], when asked for.
        feature_layout: which columns of feature_maps belong to which layer.
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
        """Where each window begins, in seconds."""
        last = max(self.duration - self.window_seconds, 0.0)
        return [min(index * self.window_seconds, last) for index in range(len(self.window_scores))]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a server.

    Attributes:
        status: "ready" (serves), "live" (answers, but isn't ready) or "unreachable".
        version: of the Triton server; None when unreachable.
        models: every model of the project's, and whether it is ready there.
        reason: why the server is unreachable, else None.
    """

    status: str
    version: str | None
    models: Mapping[str, bool]
    reason: str | None = None

    @classmethod
    def of(cls, ready: bool, version: str, models: Mapping[str, bool]) -> Health:
        """A reachable server's state."""
        return cls("ready" if ready else "live", version, models)

    @property
    def ready(self) -> bool:
        """Whether the server says that it can take requests."""
        return self.status == "ready"

    @property
    def discriminators(self) -> dict[str, bool]:
        """Whether mpd, msd and msstftd are ready; False for one that the server doesn't have."""
        return {name: self.models.get(name, False) for name in DISCRIMINATORS}
