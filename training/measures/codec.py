"""Compares a codec's output with its input, next to 6-bit µ-law and to the same codec untrained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio

from audiocraft_triton.checkpoints.layout import CODEC_FILE, Checkpoint
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.reading import experiment_config, read_package
from audiocraft_triton.checkpoints.upstream import CompressionModel, builders
from training.measures.results import Measure
from training.measures.signal import Mono
from training.upstream import MRSTFTLoss, torchaudio

MU_LAW_BITS = 6
PCM_BITS = 16
UNTRAINED_SEED = 0
SYSTEMS = ("codec", "µ-law", "untrained")

Coder = Callable[[Mono], Mono]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How close one system's output is to its input, as a mean over clips.

    Attributes:
        si_snr: dB, higher is closer (arXiv:1811.02508).
        stft: multi-resolution STFT distance, lower is closer (arXiv:1910.11480; audiocraft's MRSTFTLoss unchanged).
        bits_per_second: bit rate of the system.
    """

    si_snr: float
    stft: float
    bits_per_second: float


@dataclass(frozen=True, slots=True)
class Coded:
    """Clips and the systems' outputs: for each system, one waveform per clip."""

    source: Sequence[Mono]
    outputs: Mapping[str, Sequence[Mono]]
    sample_rate: int
    bits_per_second: Mapping[str, float]


def code(checkpoint: Checkpoint, clips: Sequence[Mono]) -> Coded:
    """Sends clips through the codec, through µ-law and through the untrained codec.

    The untrained codec has the same architecture with seeded initial weights, and codebooks fitted by k-means to the
    first clip, so that its quantizer is as good as an untrained encoder allows.

    Args:
        checkpoint: a checkpoint with a codec.
        clips: mono float32 [samples] at the codec's rate.
    """
    codec, untrained = load_codec(checkpoint, torch.device("cpu")), _untrained(checkpoint)
    coders: dict[str, Coder] = {
        "codec": lambda clip: through_codec(codec, clip),
        "µ-law": mu_law,
        "untrained": lambda clip: through_codec(untrained, clip),
    }
    rate = int(codec.sample_rate)
    bits = float(codec.frame_rate * codec.num_codebooks * math.log2(codec.cardinality))
    return Coded(
        clips,
        {name: [coder(clip) for clip in clips] for name, coder in coders.items()},
        rate,
        {"codec": bits, "µ-law": float(MU_LAW_BITS * rate), "untrained": bits},
    )


def fidelity(coded: Coded) -> dict[str, Fidelity]:
    """Compares each system's output with the source."""
    return {
        name: Fidelity(
            si_snr=float(np.mean([si_snr(*pair) for pair in zip(outputs, coded.source, strict=True)])),
            stft=float(np.mean([stft_distance(*pair) for pair in zip(outputs, coded.source, strict=True)])),
            bits_per_second=coded.bits_per_second[name],
        )
        for name, outputs in coded.outputs.items()
    }


def codec_measures(section: str, results: Mapping[str, Fidelity]) -> list[Measure]:
    """Returns the figures of one codec, which must beat the untrained codec, next to µ-law's at a much higher rate."""
    codec, law, untrained = (results[name] for name in SYSTEMS)
    return [
        Measure(section, "SI-SNR", codec.si_snr, untrained.si_snr, unit="dB", note="target: untrained"),
        Measure(section, "SI-SNR of 6-bit µ-law", law.si_snr, unit="dB", note="keeps the waveform, adds noise"),
        Measure(
            section, "STFT distance", codec.stft, untrained.stft, "at most", note="target: the same codec untrained"
        ),
        Measure(section, "STFT distance of 6-bit µ-law", law.stft),
        Measure(section, "bit rate", codec.bits_per_second / 1000, unit="kbit/s"),
        Measure(section, "bit rate of 6-bit µ-law", law.bits_per_second / 1000, unit="kbit/s"),
    ]


def through_codec(codec: CompressionModel, clip: Mono) -> Mono:
    """Encodes and decodes a clip: float32 [samples] of the same length."""
    with torch.inference_mode():
        codes, scale = codec.encode(torch.from_numpy(clip)[None, None])
        decoded: Mono = codec.decode(codes, scale)[0, 0, : len(clip)].numpy()
    return decoded


def mu_law(clip: Mono) -> Mono:
    """Sends a clip through 6-bit µ-law companding (ITU-T G.711's law with 64 levels)."""
    levels = 2**MU_LAW_BITS
    encoded = torchaudio.functional.mu_law_encoding(torch.from_numpy(clip).clamp(-1, 1), levels)
    decoded: Mono = torchaudio.functional.mu_law_decoding(encoded, levels).numpy()
    return decoded


def si_snr(output: Mono, source: Mono) -> float:
    """Computes the scale-invariant signal-to-noise ratio in dB over the whole clip."""
    return float(
        scale_invariant_signal_noise_ratio(torch.from_numpy(output).double(), torch.from_numpy(source).double())
    )


def stft_distance(output: Mono, source: Mono) -> float:
    """Computes the multi-resolution STFT distance: spectral convergence and log-magnitude difference, three windows."""
    with torch.inference_mode():
        return float(MRSTFTLoss()(torch.from_numpy(output)[None, None], torch.from_numpy(source)[None, None]))


def _untrained(checkpoint: Checkpoint) -> CompressionModel:
    files = checkpoint.files(CODEC_FILE)
    config = experiment_config(read_package(files), checkpoint, files[0].name)
    config.device = "cpu"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return builders.get_compression_model(config).eval()
