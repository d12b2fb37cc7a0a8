"""Reads untrusted audio files into bounded float waveforms, and writes waveforms to files.

Needs no torch. libsndfile does the reading (wav, flac, ogg, mp3, aiff, …).
"""

from __future__ import annotations

import io
import re

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import (
    MAX_AMPLITUDE,
    MAX_CHANNELS,
    MAX_FILE_BYTES,
    MAX_SAMPLE_RATE,
    MAX_SAMPLES,
    MAX_SECONDS,
    MIN_SAMPLE_RATE,
)
from audiocraft_triton.contract.parameters import FORMATS

Waveform = NDArray[np.float32]

# Format names of the public contract -> libsndfile (container, subtype). pcm_f32 is raw interleaved float32.
_ENCODINGS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}

# libsndfile reads a truncated WAV or AIFF without complaint, but logs the size that the data chunk announced.
_SHORT_DATA_CHUNK = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Writers that can't seek back (pipes) leave these values as the size; such a file is complete.
_UNKNOWN_SIZES = (0x7FFFFFFF, 0xFFFFFFFF)
# libsndfile reports this for a FLAC whose header has no length, as a pipe leaves it, and can't read it to the end.
_UNKNOWN_FRAMES = 2**63 - 1


def read_audio(data: bytes, field: str = "audio_file") -> tuple[Waveform, int]:
    """Decodes an audio file.

    Args:
        data: the file's bytes.
        field: name of the public input that the bytes came from, for errors.

    Returns:
        float32 [channels, samples] and the sample rate in Hz.

    Raises:
        InvalidRequest: the file is not audio, is cut off or empty, exceeds a bound, or has samples that are not finite.
    """
    check_file_size(data, field)
    size = f"{len(data):,} bytes"
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, field)
            frames = file.frames
            limit = min(_max_frames(file.samplerate) + 1, MAX_SAMPLES // file.channels)
            samples = file.read(frames=limit, dtype="float32", always_2d=True)
            rate, log = int(file.samplerate), str(file.extra_info)
    except soundfile.LibsndfileError as error:
        raise InvalidRequest(field, size, f"is not a readable audio file ({error.error_string})") from error
    if len(samples) < frames or _data_chunk_is_short(log):
        raise InvalidRequest(field, size, "is cut off: its header announces more audio than it holds")
    _check_samples(samples, rate, field)
    return np.ascontiguousarray(samples.T), rate


def check_file_size(data: bytes, field: str) -> None:
    """Raises InvalidRequest, naming the public input `field`, if `data` is larger than an audio file may be."""
    if len(data) > MAX_FILE_BYTES:
        raise InvalidRequest(field, f"{len(data):,} bytes", f"is over the limit of {MAX_FILE_BYTES:,} bytes")


def write_audio(waveform: Waveform, sample_rate: int, format: str) -> bytes:
    """Encodes a waveform as a complete file.

    Args:
        waveform: float32 [channels, samples]; clipped to full scale unless the format is float.
        sample_rate: Hz.
        format: one of FORMATS.

    Raises:
        InvalidRequest: unknown format.
    """
    if format not in FORMATS:
        raise InvalidRequest("format", format, f"must be one of {', '.join(FORMATS)}")
    if format == "pcm_f32":
        return waveform.T.astype("<f4").tobytes()
    container, subtype = _ENCODINGS[format]
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform.T, -1.0, 1.0), sample_rate, format=container, subtype=subtype)
    return buffer.getvalue()


def _check_header(file: soundfile.SoundFile, field: str) -> None:
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise InvalidRequest(field, f"{file.channels} channels", f"must have between 1 and {MAX_CHANNELS} channels")
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        raise InvalidRequest(
            field,
            f"{file.samplerate} Hz",
            f"must have a sample rate between {MIN_SAMPLE_RATE:,} and {MAX_SAMPLE_RATE:,} Hz",
        )
    if file.frames == _UNKNOWN_FRAMES:
        raise InvalidRequest(field, "unknown length", "must state its length: write it to a file, not to a pipe")
    if file.frames > _max_frames(file.samplerate):
        raise InvalidRequest(
            field, f"{file.frames / file.samplerate:.1f} s", f"must last at most {MAX_SECONDS:g} seconds"
        )
    if file.frames * file.channels > MAX_SAMPLES:
        raise InvalidRequest(
            field,
            f"{file.frames:,} frames × {file.channels} channels",
            f"must hold at most {MAX_SAMPLES:,} samples in all",
        )


def _check_samples(samples: NDArray[np.float32], rate: int, field: str) -> None:
    if len(samples) == 0:
        raise InvalidRequest(field, "0 samples", "must hold at least one sample")
    if len(samples) > _max_frames(rate):
        raise InvalidRequest(field, f"over {MAX_SECONDS:g} s", f"must last at most {MAX_SECONDS:g} seconds")
    if not np.isfinite(samples).all():
        raise InvalidRequest(field, "NaN or infinite samples", "every sample must be a finite number")
    peak = float(np.abs(samples).max())
    if peak > MAX_AMPLITUDE:
        raise InvalidRequest(
            field, f"peak {peak:g}", f"float samples must lie within ±{MAX_AMPLITUDE:g}; full scale is ±1"
        )


def _data_chunk_is_short(log: str) -> bool:
    note = _SHORT_DATA_CHUNK.search(log)
    if note is None:
        return False
    announced, held = int(note[1]), int(note[2])
    return announced not in _UNKNOWN_SIZES and announced > held


def _max_frames(rate: int) -> int:
    return int(MAX_SECONDS * rate)
