"""Draws a clip's waveform and its spectrogram."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from audiocraft_client import Audio

matplotlib.use("Agg")
from matplotlib import pyplot

FFT_SIZE = 1024
FLOOR_DB = -100.0


def save_spectrogram(audio: Audio, path: Path, title: str) -> None:
    """Writes a PNG: amplitude over time, and level in dB relative to full scale over time and frequency."""
    mono = audio.waveform.mean(axis=0)
    time = np.arange(len(mono)) / audio.sample_rate
    figure, (wave, spectrum) = pyplot.subplots(
        2, 1, sharex=True, figsize=(10, 5), height_ratios=(1, 2.5), layout="constrained"
    )
    wave.plot(time, mono, linewidth=0.4, color="#335c81")
    wave.set(ylim=(-1, 1), ylabel="amplitude", title=title)
    if len(mono) < FFT_SIZE:
        mono = np.pad(mono, (0, FFT_SIZE - len(mono)))
    _, _, _, image = spectrum.specgram(
        mono,
        NFFT=FFT_SIZE,
        noverlap=FFT_SIZE * 3 // 4,
        Fs=audio.sample_rate,
        scale="dB",
        mode="magnitude",
        vmin=FLOOR_DB,
        cmap="magma",
    )
    spectrum.set(xlabel="seconds", ylabel="Hz", xlim=(0, max(audio.duration, 1e-3)))
    figure.colorbar(image, ax=spectrum, label="dB")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
