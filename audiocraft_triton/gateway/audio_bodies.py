"""Audio as response bodies: whole files, and streams whose length is not known yet."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
from audiocraft_client import Audio, Chunk
from numpy.typing import NDArray

MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp3": "audio/mpeg"}
STREAM_MEDIA_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm", "pcm_f32": "audio/pcm"}
UNKNOWN_LENGTH = 0xFFFF_FFFF
_INT16_SCALE = 32767.0


def clip_headers(audio: Audio | Chunk) -> dict[str, str]:
    """Returns the headers that describe a clip: its sample rate, channels, seed and duration."""
    headers = {"X-Sample-Rate": str(audio.sample_rate), "X-Channels": str(audio.waveform.shape[0])}
    if audio.seed is not None:
        headers["X-Seed"] = str(audio.seed)
    if isinstance(audio, Audio):
        headers["X-Duration-Seconds"] = f"{audio.duration:.6g}"
    return headers


async def stream_bytes(first: Chunk, rest: AsyncIterator[Chunk], encoding: str) -> AsyncGenerator[bytes, None]:
    """Yields the body of a stream.

    Args:
        first: the first chunk, which arrived before the response began.
        rest: the other chunks.
        encoding: "wav" (16-bit, with a header that gives no length), "pcm" (the same without a header) or "pcm_f32";
            the channels' samples are interleaved, little-endian.
    """
    if encoding == "wav":
        yield streaming_wav_header(first.sample_rate, first.waveform.shape[0]) + _int16(first.waveform)
    else:
        yield _samples(first.waveform, encoding)
    async for chunk in rest:
        yield _samples(chunk.waveform, encoding)


def streaming_wav_header(sample_rate: int, channels: int) -> bytes:
    """Makes a 16-bit WAV header with the largest possible sizes, which players read as "until the end"."""
    frame = 2 * channels
    fields = struct.pack("<IHHIIHH", 16, 1, channels, sample_rate, sample_rate * frame, frame, 16)
    unknown = struct.pack("<I", UNKNOWN_LENGTH)
    return b"RIFF" + unknown + b"WAVEfmt " + fields + b"data" + unknown


def _samples(waveform: NDArray[np.float32], encoding: str) -> bytes:
    return waveform.T.astype("<f4").tobytes() if encoding == "pcm_f32" else _int16(waveform)


def _int16(waveform: NDArray[np.float32]) -> bytes:
    """Rounds as libsndfile does, so that a streamed clip has the same samples as the whole file."""
    samples: bytes = np.rint(np.clip(waveform.T, -1.0, 1.0) * _INT16_SCALE).astype("<i2").tobytes()
    return samples
