"""Measures one mono waveform without a trained model: onsets, percussiveness, pitch classes, level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from training.upstream import torchaudio

Mono = NDArray[np.float32]

ONSET_HOP_SECONDS = 0.01
ONSET_LAG = 4
"""Frames between the two spectra that the flux compares, more than one because bowed notes rise slowly."""
ONSET_LEAST_SECONDS = 0.05
# The best of twelve settings on 88 source pieces of the train split, whose notes are known: the rate ranks the pieces
# as their notes do (Spearman 0.88), and tells slow from fast (AUC 0.96).
ONSET_THRESHOLD = 0.03
ONSET_BANDS = 80
ONSET_WINDOW_SECONDS = 0.064
TIMBRE_BANDS = 40
TIMBRE_WINDOW_SECONDS = 0.032
MEL_COMPRESSION = 1000.0

MEDIAN_FRAMES = 17
MEDIAN_BINS = 17

LOWEST_NOTE, HIGHEST_NOTE = 48, 96  # MIDI; below C3, neighbouring semitones are less than two bins apart
NOTE_BINS_PER_SECOND_OF_WINDOW = 0.5

SILENCE_DBFS = -50.0
SILENCE_FRAME_SECONDS = 0.05
CLIPPED_FROM = 0.999

_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1, " sharp": 1, " flat": -1}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_KEY = re.compile(r"([A-G])(#|b| sharp| flat|) (major|minor)")


def log_mel(waveform: Mono, sample_rate: int, bands: int, window_seconds: float) -> torch.Tensor:
    """Computes the compressed mel spectrogram log10(1 + 1000 · magnitude) of the clip scaled to peak 1.

    Args:
        waveform: float32 [samples].
        sample_rate: Hz.
        bands: number of bands from 30 Hz to half the sample rate, but at most to 14 kHz.
        window_seconds: length of the window, which is rounded to a power of two in samples.

    Returns:
        float32 [bands, frames], one frame every 10 ms.
    """
    clip = torch.from_numpy(waveform)
    clip = clip / clip.abs().max().clamp(min=1e-4)
    spectrum: torch.Tensor = _mel_transform(sample_rate, bands, window_seconds)(clip)
    return torch.log10(1 + MEL_COMPRESSION * spectrum)


def spectral_flux(waveform: Mono, sample_rate: int) -> torch.Tensor:
    """Computes the rise in level, averaged over bands: float32 [frames], one frame every 10 ms.

    This is the method of S. Dixon, "Onset detection revisited", DAFx 2006, with the logarithm and the lag of S. Böck et
    al., "Evaluating the online capabilities of onset detection methods", ISMIR 2012.
    """
    spectrum = log_mel(waveform, sample_rate, ONSET_BANDS, ONSET_WINDOW_SECONDS)
    growth = (spectrum[:, ONSET_LAG:] - spectrum[:, :-ONSET_LAG]).clamp(min=0).mean(dim=0)
    return torch.nn.functional.pad(growth, (ONSET_LAG, 0))


def onset_rate(waveform: Mono, sample_rate: int) -> float:
    """Counts onsets per second: peaks of the spectral flux that exceed their neighbourhood (Böck et al. 2012)."""
    flux = spectral_flux(waveform, sample_rate)
    highest = torch.nn.functional.max_pool1d(flux[None], 7, 1, 3)[0]
    # The mean of the 100 ms before and the 70 ms after.
    padded = torch.nn.functional.pad(flux[None, None], (10, 7), mode="replicate")
    mean = torch.nn.functional.avg_pool1d(padded[0], 18, 1)[0]
    peaks = torch.nonzero((flux >= highest) & (flux >= mean + ONSET_THRESHOLD)).flatten().tolist()
    least = ONSET_LEAST_SECONDS / ONSET_HOP_SECONDS
    count, last = 0, -least
    for peak in peaks:
        if peak - last >= least:
            count, last = count + 1, peak
    return count * sample_rate / len(waveform)


def percussive_ratio(waveform: Mono, sample_rate: int) -> float:
    """Computes the share of percussive energy, which is broad in frequency and short in time: 0 … 1.

    D. Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010: medians of the magnitudes along
    time and along frequency, turned into soft masks with exponent 2.

    Args:
        waveform: float32 [samples].
        sample_rate: Hz.
    """
    size = _power_of_two(0.064 * sample_rate)
    magnitude = _magnitudes(waveform, size, size // 4)
    harmonic = _running_median(magnitude, MEDIAN_FRAMES)
    percussive = _running_median(magnitude.T, MEDIAN_BINS).T
    mask = percussive.square() / (percussive.square() + harmonic.square()).clamp(min=1e-20)
    energy = magnitude.square().sum()
    return float((magnitude * mask).square().sum() / energy.clamp(min=1e-20))


def chroma(waveform: Mono, sample_rate: int) -> NDArray[np.float32]:
    """Computes the energy of each pitch class, C first: float32 [12] with sum 1 (zeros for silence).

    Spectral peaks from C3 to C7 are folded into the nearest semitone of equal temperament at A4 = 440 Hz
    (T. Fujishima, "Realtime chord recognition of musical sound", ICMC 1999). Only peaks count, so that a window's side
    lobes and the broad noise of drums don't fill all classes.
    """
    size = _power_of_two(NOTE_BINS_PER_SECOND_OF_WINDOW * sample_rate)
    energy = _magnitudes(waveform, size, size // 4).square()
    inner = energy[1:-1]
    peaks = torch.where((inner > energy[:-2]) & (inner >= energy[2:]), inner, torch.zeros_like(inner)).sum(dim=1)
    frequencies = torch.arange(1, len(peaks) + 1) * (sample_rate / size)
    notes = torch.round(69 + 12 * torch.log2(frequencies / 440)).long()
    heard = (notes >= LOWEST_NOTE) & (notes <= HIGHEST_NOTE)
    classes = torch.zeros(12).index_add(0, notes[heard] % 12, peaks[heard])
    result: NDArray[np.float32] = (classes / classes.sum().clamp(min=1e-20)).numpy()
    return result


def key_classes(key: str) -> tuple[int, ...]:
    """Returns the seven pitch classes of a key such as "C major" or "F# minor" (natural), 0 for C.

    Raises:
        InvalidRequest: the key doesn't exist.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise InvalidRequest("key", key, "must be a note A … G, with # or b if any, then major or minor")
    tonic = _PITCH_CLASSES[match[1]] + _ACCIDENTALS[match[2]]
    return tuple((tonic + step) % 12 for step in _SCALES[match[3]])


def key_share(classes: NDArray[np.float32], key: str) -> float:
    """Returns the share of a `chroma` in a key's seven pitch classes; 7/12 if all classes are equal."""
    return float(classes[list(key_classes(key))].sum())


def silent_share(waveform: Mono, sample_rate: int, skip_seconds: float = 0.3) -> float:
    """Returns the share of 50 ms frames with an RMS below -50 dBFS, not counting the first `skip_seconds`."""
    frame = int(SILENCE_FRAME_SECONDS * sample_rate)
    clip = waveform[int(skip_seconds * sample_rate) :]
    frames = clip[: len(clip) // frame * frame].reshape(-1, frame)
    if not len(frames):
        return 0.0
    level = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return float(np.mean(level < 10 ** (SILENCE_DBFS / 20)))


def clipped_share(waveform: Mono) -> float:
    """Returns the share of samples at full scale, with a magnitude of 0.999 or more."""
    return float(np.mean(np.abs(waveform) >= CLIPPED_FROM))


def timbre(waveform: Mono, sample_rate: int, percussive: float) -> NDArray[np.float32]:
    """Computes the features of a clip for the small classifiers.

    Args:
        waveform: float32 [samples].
        sample_rate: Hz.
        percussive: the clip's `percussive_ratio`, an argument because it is slow to compute twice.

    Returns:
        float32 [83]: mean and deviation of each of 40 mel bands, mean and deviation of the spectral flux, percussive
        share.
    """
    mel = log_mel(waveform, sample_rate, TIMBRE_BANDS, TIMBRE_WINDOW_SECONDS)
    flux = spectral_flux(waveform, sample_rate)
    parts: Sequence[torch.Tensor] = (
        mel.mean(dim=1), mel.std(dim=1), flux.mean()[None], flux.std()[None],
        torch.tensor([percussive]),
    )  # fmt: skip
    features: NDArray[np.float32] = torch.cat(list(parts)).numpy()
    return features


@cache
def _mel_transform(sample_rate: int, bands: int, window_seconds: float) -> torchaudio.transforms.MelSpectrogram:
    size = _power_of_two(window_seconds * sample_rate)
    return torchaudio.transforms.MelSpectrogram(
        sample_rate, n_fft=size, hop_length=int(ONSET_HOP_SECONDS * sample_rate), f_min=30.0,
        f_max=min(14_000.0, sample_rate / 2), n_mels=bands, power=1.0, norm="slaney",
    )  # fmt: skip


def _magnitudes(waveform: Mono, size: int, hop: int) -> torch.Tensor:
    """Computes the magnitude spectrogram [bins, frames]; pads a clip that is shorter than the window."""
    clip = torch.from_numpy(waveform)
    clip = torch.nn.functional.pad(clip, (0, max(0, size - len(clip))))
    return torch.stft(clip, size, hop, window=torch.hann_window(size), return_complex=True).abs()


def _running_median(values: torch.Tensor, length: int) -> torch.Tensor:
    """Computes the median of `length` neighbours along the last dimension, with zeros beyond the ends."""
    padded = torch.nn.functional.pad(values, (length // 2, length // 2))
    return padded.unfold(-1, length, 1).median(dim=-1).values


def _power_of_two(samples: float) -> int:
    return int(2 ** round(np.log2(samples)))
