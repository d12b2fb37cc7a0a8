"""Converts waveforms to the sample rate, channels and length that a model needs."""

from __future__ import annotations

import math

import julius
import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from audiocraft_triton.audio.files import Waveform
from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

# julius builds one filter per output phase: its taps grow with old_rate × new_rate over their common divisor.
# 44,100 -> 32,000 needs 141,120; 44,101 -> 32,000 would need 1.4 billion (5.6 GB) for one file.
MAX_RESAMPLING_TAPS = 4_000_000


def convert(waveform: Waveform, rate: int, to_rate: int, to_channels: int) -> Waveform:
    """Resamples, then mixes down or repeats channels, exactly as audiocraft's `convert_audio` does.

    Rates whose ratio has large terms (such as 44,101 Hz) go through soxr instead, because audiocraft's method
    would need gigabytes for them.

    Args:
        waveform: float32 [channels, samples] at `rate` Hz.

    Returns:
        float32 [to_channels, floor(samples · to_rate / rate)], at least one sample.

    Raises:
        InvalidRequest: to_rate or to_channels is out of bounds, or is more channels than a clip has that is not mono.
    """
    if not MIN_SAMPLE_RATE <= to_rate <= MAX_SAMPLE_RATE:
        raise InvalidRequest("sample_rate", to_rate, f"must be between {MIN_SAMPLE_RATE:,} and {MAX_SAMPLE_RATE:,} Hz")
    if not 1 <= to_channels <= MAX_CHANNELS or 1 < waveform.shape[0] < to_channels:
        raise InvalidRequest("channels", to_channels, f"can't be made from {waveform.shape[0]}; at most {MAX_CHANNELS}")
    return _convert_channels(_resample(waveform, rate, to_rate), to_channels)


def cut_windows(waveform: Waveform, window: int) -> NDArray[np.float32]:
    """Cuts a mono clip into windows of one fixed length, so that no score depends on padding.

    The windows are consecutive; the last one ends with the clip and may overlap the window before it. A clip
    shorter than one window is repeated to fill it.

    Args:
        waveform: float32 [1, samples].
        window: samples in a window.

    Returns:
        float32 [windows, 1, window].
    """
    clip = waveform[0]
    if len(clip) < window:
        return np.asarray(np.resize(clip, window), dtype=np.float32)[None, None]
    count = math.ceil(len(clip) / window)
    starts = [*(index * window for index in range(count - 1)), len(clip) - window]
    windows: NDArray[np.float32] = np.stack([clip[start : start + window] for start in starts])[:, None]
    return windows


def _resample(waveform: Waveform, rate: int, to_rate: int) -> Waveform:
    if rate == to_rate:
        return waveform
    divisor = math.gcd(rate, to_rate)
    if (rate // divisor) * (to_rate // divisor) <= MAX_RESAMPLING_TAPS:
        resampled = julius.resample_frac(torch.from_numpy(waveform), rate, to_rate).numpy()
    else:
        resampled = soxr.resample(waveform.T, rate, to_rate).T
    if resampled.shape[-1] == 0:
        return np.ascontiguousarray(waveform[:, :1])
    return np.ascontiguousarray(resampled, dtype=np.float32)


def _convert_channels(waveform: Waveform, channels: int) -> Waveform:
    if waveform.shape[0] == channels:
        return waveform
    if channels == 1:
        # torch's mean, not numpy's: they round differently, and codes must equal audiocraft's.
        mono: Waveform = torch.from_numpy(waveform).mean(dim=0, keepdim=True).numpy()
        return mono
    if waveform.shape[0] == 1:
        return np.repeat(waveform, channels, axis=0)
    return np.ascontiguousarray(waveform[:channels])
