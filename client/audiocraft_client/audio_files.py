"""Encodes waveforms as complete audio files, and writes files atomically."""

import io
import os
import secrets
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocraft_client.errors import InvalidRequest

# Name -> (libsndfile format, subtype). "wav_float" keeps every bit, for audio that is sent back to the server.
_ENCODINGS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "wav_float": ("WAV", "FLOAT"),
}
SUFFIXES = ("wav", "flac", "ogg", "mp3")

# libsndfile's Vorbis encoder overflows its stack when given minutes of audio in one write.
_FRAMES_PER_WRITE = 65_536


def format_of(path: str | os.PathLike[str]) -> str:
    """Returns the audio format that a path's suffix names.

    Raises:
        InvalidRequest: the suffix is missing, or is not one of wav, flac, ogg, mp3.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        known = ", ".join(f".{name}" for name in SUFFIXES)
        raise InvalidRequest(f"{os.fspath(path)}: the file name must end in one of {known}")
    return suffix


def encode_audio(waveform: NDArray[np.float32], sample_rate: int, encoding: str) -> bytes:
    """Encodes a waveform as a complete audio file.

    Args:
        waveform: float32 [channels, samples], which is clipped to -1 … 1 (except for "wav_float").
        sample_rate: hertz.
        encoding: "wav" (16-bit), "flac" (16-bit), "ogg" (Vorbis), "mp3" or "wav_float" (32-bit float).
    Raises:
        InvalidRequest: the encoding is unknown, or can't hold this rate or number of channels.
    """
    if encoding not in _ENCODINGS:
        raise InvalidRequest(f"format={encoding!r}: must be one of {', '.join(_ENCODINGS)}")
    container, subtype = _ENCODINGS[encoding]
    frames = waveform.T if encoding == "wav_float" else np.clip(waveform.T, -1.0, 1.0)
    buffer = io.BytesIO()
    try:
        with soundfile.SoundFile(buffer, "w", sample_rate, waveform.shape[0], subtype, format=container) as file:
            for start in range(0, len(frames), _FRAMES_PER_WRITE):
                file.write(frames[start : start + _FRAMES_PER_WRITE])
    except soundfile.LibsndfileError as error:
        raise InvalidRequest(
            f"can't write {waveform.shape[0]} channel(s) at {sample_rate} Hz as {encoding}: {error}"
        ) from error
    return buffer.getvalue()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces the file at `path` in one step, so that neither a reader nor a crash leaves half a file."""
    target = Path(path)
    # The partial file is next to the target, since a rename is atomic only within one file system.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        partial.write_bytes(data)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
