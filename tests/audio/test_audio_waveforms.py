"""Resampling and channel conversion as in audiocraft, and windows without padding."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from audiocraft.data.audio_utils import convert_audio
from hypothesis import given
from hypothesis import strategies as st

from audiocraft_triton.audio.waveforms import convert, cut_windows
from audiocraft_triton.contract.errors import InvalidRequest


def noise(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(samples).normal(0, 0.3, (channels, samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("channels", "rate", "to_rate", "to_channels"),
    [
        (2, 44_100, 32_000, 1),
        (1, 48_000, 16_000, 1),
        (1, 22_050, 32_000, 2),
        (2, 32_000, 32_000, 1),
        (8, 32_000, 32_000, 1),
        (6, 16_000, 16_000, 2),
        (2, 8_000, 32_000, 2),
    ],
)
@pytest.mark.parametrize("samples", [12_345, 1000])
def test_conversion_equals_audiocrafts_bit_for_bit(
    channels: int, rate: int, to_rate: int, to_channels: int, samples: int
) -> None:
    wave = noise(channels, samples)
    converted = convert(wave, rate, to_rate, to_channels)
    assert converted.dtype == np.float32
    np.testing.assert_array_equal(converted, convert_audio(torch.from_numpy(wave), rate, to_rate, to_channels).numpy())


def test_conversion_does_not_change_its_input() -> None:
    wave = noise(2, 500)
    before = wave.copy()
    convert(wave, 44_100, 32_000, 1)
    np.testing.assert_array_equal(wave, before)


def test_an_odd_rate_is_quick_and_keeps_the_pitch() -> None:
    rate = 44_101
    wave = np.sin(2 * np.pi * 1000 * np.arange(3 * rate) / rate, dtype=np.float32)[None]
    start = time.process_time()
    converted = convert(wave, rate, 32_000, 1)
    assert time.process_time() - start < 5  # audiocraft would need 5.6 GB of filters
    assert abs(converted.shape[1] - 96_000) <= 1
    second = converted[0, 32_000:64_000]
    assert np.abs(np.fft.rfft(second)).argmax() == 1000
    assert second.std() == pytest.approx(wave.std(), rel=0.01)


@pytest.mark.parametrize("rate", [4_000, 32_000, 44_100, 44_101, 191_999, 192_000])
@pytest.mark.parametrize("to_rate", [16_000, 32_000])
def test_a_clip_of_1_sample_is_never_empty(rate: int, to_rate: int) -> None:
    converted = convert(np.full((1, 1), 0.5, np.float32), rate, to_rate, 1)
    assert converted.shape[0] == 1
    assert converted.shape[1] >= 1
    assert np.isfinite(converted).all()


@given(st.integers(1, 2000), st.integers(1, 400))
def test_windows_have_equal_lengths_cover_every_sample_and_end_with_the_clip(samples: int, window: int) -> None:
    clip = np.arange(samples, dtype=np.float32)[None]
    windows = cut_windows(clip, window)
    count = max(1, -(-samples // window))
    assert windows.shape == (count, 1, window)
    assert set(windows.flatten().tolist()) == set(clip.flatten().tolist())
    if samples >= window:
        assert windows[-1, 0, -1] == samples - 1
        for index in range(count - 1):
            np.testing.assert_array_equal(windows[index], clip[:, index * window : (index + 1) * window])
        np.testing.assert_array_equal(windows[-1], clip[:, samples - window :])


@given(st.integers(1, 99))
def test_a_clip_shorter_than_a_window_is_repeated_to_its_length(samples: int) -> None:
    clip = np.arange(samples, dtype=np.float32)[None]
    (window,) = cut_windows(clip, 100)
    np.testing.assert_array_equal(window[0], np.arange(100) % samples)


@pytest.mark.parametrize(("rate", "channels", "field"), [(3, 1, "sample_rate"), (32_000, 0, "channels")])
def test_a_conversion_out_of_bounds_is_refused(rate: int, channels: int, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        convert(np.zeros((1, 100), np.float32), 32_000, rate, channels)


def test_more_channels_than_a_clip_has_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="channels=4: can't be made from 2"):
        convert(np.zeros((2, 100), np.float32), 32_000, 32_000, 4)
