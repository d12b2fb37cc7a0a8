"""Reading untrusted audio files, or refusing them with a reason; and writing files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocraft_triton.audio import files as audio_files
from audiocraft_triton.audio.files import read_audio, write_audio
from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import MAX_FILE_BYTES
from audiocraft_triton.contract.parameters import FORMATS


def sine(seconds: float = 1.0, rate: int = 16_000, channels: int = 1, frequency: float = 440.0) -> Any:
    """Returns float32 [channels, samples]; channel n has half the amplitude of channel n - 1."""
    time = np.arange(int(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * frequency * time)
    return np.stack([tone / 2**channel for channel in range(channels)]).astype(np.float32)


def encode(samples: Any, rate: int = 16_000, container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """Encodes [channels, samples] with libsndfile instead of the code under test."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, rate, format=container, subtype=subtype)
    return buffer.getvalue()


def with_sizes(wav: bytes, riff: int, data: int) -> bytes:
    """Returns the same WAV with other sizes in its RIFF and data headers."""
    at = wav.index(b"data")
    return wav[:4] + struct.pack("<I", riff) + wav[8 : at + 4] + struct.pack("<I", data) + wav[at + 8 :]


def cut(file: bytes) -> bytes:
    """Returns the first two thirds of a file."""
    return file[: len(file) * 2 // 3]


def float_wav_with(value: float) -> bytes:
    samples = sine(0.1)
    samples[0, 100] = value
    return encode(samples, subtype="FLOAT")


BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is not a readable audio file"),
    "text": (lambda: b"this is no audio file, whatever its name says" * 20, "is not a readable audio file"),
    "image": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(2000), "is not a readable audio file"),
    "wav header alone": (lambda: encode(sine())[:20], "is not a readable audio file"),
    "cut off wav": (lambda: cut(encode(sine())), "is cut off"),
    "cut off flac": (lambda: cut(encode(sine(), container="FLAC")), "is cut off|is not a readable audio file"),
    "cut off mp3": (
        lambda: cut(encode(sine(4.0), container="MP3", subtype="MPEG_LAYER_III")),
        "is cut off|is not a readable audio file",
    ),
    "0 samples": (lambda: encode(sine(0.0)), "must hold at least one sample"),
    "NaN": (lambda: float_wav_with(np.nan), "every sample must be a finite number"),
    "infinity": (lambda: float_wav_with(np.inf), "every sample must be a finite number"),
    "integers as floats": (lambda: float_wav_with(32_767.0), "float samples must lie within ±100; full scale is ±1"),
    "20 channels": (lambda: encode(sine(0.1, channels=20)), "must have between 1 and 8 channels"),
    "3 Hz": (lambda: encode(sine(0.1), rate=3), "must have a sample rate between 4,000 and 192,000 Hz"),
    "400 kHz": (lambda: encode(sine(0.1), rate=400_000), "must have a sample rate between 4,000 and 192,000 Hz"),
    "301 s": (lambda: encode(sine(301, rate=4000), rate=4000), "must last at most 300 seconds"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_the_field_and_the_reason(name: str) -> None:
    make, reason = BAD_FILES[name]
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read_audio(make(), field="melody")
    assert caught.value.field == "melody"
    assert str(caught.value).startswith("melody=")


def test_a_file_of_exactly_300_seconds_is_read() -> None:
    samples, rate = read_audio(encode(sine(300, rate=4000), rate=4000))
    assert (samples.shape, rate) == ((1, 1_200_000), 4000)


def test_a_long_file_is_refused_by_its_header_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("decoded")

    file = encode(sine(301, rate=4000), rate=4000)
    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    with pytest.raises(InvalidRequest, match=r"'301\.0 s': must last at most 300 seconds"):
        read_audio(file)


def test_a_file_over_the_size_limit_is_refused_without_opening_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_files.soundfile, "SoundFile", None)  # opening it would be a TypeError
    with pytest.raises(InvalidRequest, match="'67,108,865 bytes': is over the limit of 67,108,864 bytes"):
        read_audio(bytes(MAX_FILE_BYTES + 1))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF], ids=["ffmpeg", "sox"])
def test_a_wav_from_a_pipe_with_unknown_size_is_read_whole(size: int) -> None:
    whole = encode(sine(channels=2))
    samples, rate = read_audio(with_sizes(whole, size, size))
    expected, _ = read_audio(whole)
    assert rate == 16_000
    np.testing.assert_array_equal(samples, expected)


def test_a_flac_from_a_pipe_without_its_length_is_refused_with_a_remedy() -> None:
    flac = bytearray(encode(sine(), container="FLAC"))
    rate_to_total = int.from_bytes(flac[18:26], "big")
    assert rate_to_total % 2**36 == 16_000  # the header's number of samples
    flac[18:26] = (rate_to_total - 16_000).to_bytes(8, "big")
    with pytest.raises(InvalidRequest, match="'unknown length': must state its length: write it to a file"):
        read_audio(bytes(flac))


@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\2"]))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_are_refused_and_never_crash_the_reader(data: bytes, start: bytes) -> None:
    _read_or_refuse(start + data)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_header_is_refused_or_gives_finite_audio(data: st.DataObject) -> None:
    container = data.draw(st.sampled_from(["WAV", "FLAC", "AIFF"]))
    file = bytearray(encode(sine(0.05), container=container))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(file))


def _read_or_refuse(file: bytes) -> None:
    try:
        samples, rate = read_audio(file)
    except InvalidRequest:
        return
    assert samples.ndim == 2
    assert samples.size > 0
    assert np.isfinite(samples).all()
    assert 4_000 <= rate <= 192_000


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_every_wav_depth_reads_as_float_of_full_scale_1(subtype: str) -> None:
    wave = sine(0.2, channels=2)
    samples, rate = read_audio(encode(wave, subtype=subtype))
    assert (rate, samples.dtype) == (16_000, np.float32)
    np.testing.assert_allclose(samples, wave, atol=0.01)


def test_floats_a_little_over_full_scale_are_kept() -> None:
    samples, _ = read_audio(float_wav_with(1.5))
    assert samples.max() == 1.5


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [16_000, 32_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_written_file_reads_back_at_its_rate_channels_and_pitch(format: str, rate: int, channels: int) -> None:
    wave = sine(1.0, rate, channels)
    samples, read_rate = read_audio(write_audio(wave, rate, format))
    assert read_rate == rate
    assert samples.shape[0] == channels
    assert samples.shape[1] == rate or format == "mp3"  # an mp3 is padded to whole blocks
    assert abs(samples.shape[1] - rate) < 2 * 1152
    middle, expected = samples[:, rate // 4 : rate // 4 * 3], wave[:, rate // 4 : rate // 4 * 3]
    loudest = np.abs(np.fft.rfft(middle[0])).argmax() * 2  # half a second: 2 Hz per bin
    assert loudest == 440
    np.testing.assert_allclose(middle.std(axis=1), expected.std(axis=1), rtol=0.05)
    if format in ("wav", "flac"):
        np.testing.assert_allclose(samples, wave, atol=1 / 32_768)


def test_pcm_f32_is_the_waveform_itself_interleaved() -> None:
    wave = np.random.default_rng(3).normal(0, 2, (2, 999)).astype(np.float32)  # also above full scale
    data = write_audio(wave, 16_000, "pcm_f32")
    np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(-1, 2).T, wave)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_loud_samples_are_clipped_and_do_not_wrap(format: str) -> None:
    wave = np.array([[2.0, -2.0, 1.0, -1.0, 0.0]], np.float32)
    samples, _ = read_audio(write_audio(wave, 16_000, format))
    np.testing.assert_allclose(samples, [[1.0, -1.0, 1.0, -1.0, 0.0]], atol=1 / 32_000)


@pytest.mark.parametrize("format", ["ogg", "mp3"])
def test_loud_samples_are_clipped_before_a_lossy_encoder_sees_them(format: str) -> None:
    loud = 6 * sine(0.5)  # peaks at 3
    samples, _ = read_audio(write_audio(loud, 16_000, format))
    expected, _ = read_audio(write_audio(np.clip(loud, -1, 1), 16_000, format))
    np.testing.assert_array_equal(samples, expected)
    assert samples.std() < 1.1 < loud.std()


def test_writing_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="format='m4a': must be one of wav, flac, ogg, mp3, pcm_f32"):
        write_audio(sine(), 16_000, "m4a")


def test_every_format_of_the_contract_is_tested_here() -> None:
    assert FORMATS == ("wav", "flac", "ogg", "mp3", "pcm_f32")


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    soundfile.write(bomb, np.zeros((40 * 192_000, 8), np.int16), 192_000, format="FLAC")
    assert len(bomb.getvalue()) < 200_000
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_args, **_kwargs: pytest.fail("it was decoded"))
    with pytest.raises(InvalidRequest, match=r"7,680,000 frames × 8 channels.*at most 60,000,000 samples in all"):
        read_audio(bomb.getvalue())


def test_a_cut_off_aiff_is_refused() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(4000), 44_100, format="AIFF")
    assert read_audio(buffer.getvalue())[0].shape == (1, 4000)
    with pytest.raises(InvalidRequest, match="is cut off"):
        read_audio(buffer.getvalue()[:3000])
