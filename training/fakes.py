"""Makes the fakes that discriminators learn to tell from source audio, and removes unintended clues.

A network learns the easiest difference between two classes, even an unintended one: loudness, an offset, the rounding
to 16 bits, a codec's edges, the band limit of an old recording. `alike` removes these differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import julius
import torch

from audiocraft_triton.checkpoints.upstream import CompressionModel

SILENCE = 1e-3  # RMS: -60 dBFS
QUIETEST = 0.25
OFFSET = 0.003
BAND_LIMITED = 0.3  # share of the pairs
LOWEST_CUTOFF = 5_000.0  # Hz
CUTOFF_WIDTH = 200.0  # Hz
MU_LAW_LEVELS = 2**6 - 1
MU = 255.0


@torch.no_grad()
def round_trip(codec: CompressionModel, clips: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Encodes and decodes clips.

    Args:
        codec: on the clips' device, of any sample rate and number of channels.
        clips: float32 [B, 1, samples] at `sample_rate` Hz.

    Returns:
        float32 [B, 1, samples].
    """
    given = julius.resample_frac(clips, sample_rate, codec.sample_rate).expand(-1, codec.channels, -1)
    codes, scale = codec.encode(given)
    decoded = codec.decode(codes, scale)[..., : given.shape[-1]].mean(dim=1, keepdim=True)
    back = julius.resample_frac(decoded, codec.sample_rate, sample_rate)[..., : clips.shape[-1]]
    return torch.nn.functional.pad(back, (0, clips.shape[-1] - back.shape[-1]))


def to_16_bits(clips: torch.Tensor) -> torch.Tensor:
    """Rounds and clips to the values of a 16-bit file, because source audio comes from one and model output doesn't."""
    return (clips * 32768.0).round().clamp(-32768.0, 32767.0) / 32768.0


def loudness(clips: torch.Tensor) -> torch.Tensor:
    """Returns the RMS of each clip, [B, 1, 1]."""
    return clips.square().mean(dim=-1, keepdim=True).sqrt()


def alike(real: torch.Tensor, fake: torch.Tensor, sample_rate: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Removes inaudible differences between the two clips of each pair, and varies both in the same way.

    The fake gets the real clip's RMS. Both get the same gain (0.25 … 1, no clipping), polarity and small offset, in
    30 % of the pairs the same low-pass, and are rounded to 16 bits.

    Args:
        real, fake: float32 [B, 1, samples] at `sample_rate` Hz.

    Returns:
        Both clips, and float32 [B]: 1 for pairs to learn from, 0 where either clip is silent.
    """
    pair = torch.stack([real, fake])
    pair = pair - pair.mean(dim=-1, keepdim=True)
    levels = loudness(pair)
    audible = (levels > SILENCE).all(dim=0).flatten().float()
    pair = pair * (levels[:1] / levels.clamp(min=SILENCE))
    pair = _band_limited(pair, sample_rate)
    shape = (1, real.shape[0], 1, 1)
    gain = QUIETEST + (1.0 - QUIETEST) * torch.rand(shape, device=real.device)
    unclipped = (1.0 - 4 * OFFSET) / pair.abs().amax(dim=(0, 3), keepdim=True).clamp(min=SILENCE)
    polarity = torch.randint(0, 2, shape, device=real.device) * 2 - 1
    offset = OFFSET * torch.randn(shape, device=real.device)
    pair = to_16_bits(pair * torch.minimum(gain, unclipped) * polarity + offset)
    return pair[0], pair[1], audible


def _band_limited(pair: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Low-passes some of the pairs at frequencies drawn evenly between 5 kHz and the highest."""
    nyquist = sample_rate / 2
    shape = (1, pair.shape[1], 1, 1)
    lowest = min(LOWEST_CUTOFF, nyquist / 2)
    cutoff = lowest + (nyquist - lowest) * torch.rand(shape, device=pair.device)
    chosen = torch.rand(shape, device=pair.device) < BAND_LIMITED
    cutoff = torch.where(chosen, cutoff, 2 * sample_rate)
    spectrum = torch.fft.rfft(pair)
    frequencies = torch.linspace(0.0, nyquist, spectrum.shape[-1], device=pair.device)
    low_pass = torch.sigmoid((cutoff - frequencies) / CUTOFF_WIDTH)
    filtered: torch.Tensor = torch.fft.irfft(spectrum * low_pass, n=pair.shape[-1])
    return filtered


def _white_noise(clips: torch.Tensor) -> torch.Tensor:
    return loudness(clips) * torch.randn_like(clips)


def _pink_noise(clips: torch.Tensor) -> torch.Tensor:
    """Returns noise whose power falls by 3 dB per octave, at the clips' RMS."""
    spectrum = torch.fft.rfft(torch.randn_like(clips))
    steps = torch.arange(spectrum.shape[-1], device=clips.device).clamp(min=1)
    noise: torch.Tensor = torch.fft.irfft(spectrum / steps.sqrt(), n=clips.shape[-1])
    return noise * loudness(clips) / loudness(noise)


def _in_noise(clips: torch.Tensor) -> torch.Tensor:
    """Adds noise to the clips at a signal-to-noise ratio of 0 dB."""
    return clips + _white_noise(clips)


def _mu_law(clips: torch.Tensor) -> torch.Tensor:
    """Quantizes to 6-bit µ-law (ITU-T G.711's curve), coarse like an old telephone."""
    compressed = clips.sign() * torch.log1p(MU * clips.abs().clamp(max=1.0)) / math.log1p(MU)
    coarse = (compressed * MU_LAW_LEVELS / 2).round() / (MU_LAW_LEVELS / 2)
    return coarse.sign() * torch.expm1(coarse.abs() * math.log1p(MU)) / MU


def _hard_clipping(clips: torch.Tensor) -> torch.Tensor:
    """Clips the clips' peaks at their RMS."""
    limit = loudness(clips)
    return torch.maximum(torch.minimum(clips, limit), -limit)


CORRUPTIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "white noise": _white_noise,
    "pink noise": _pink_noise,
    "source in noise": _in_noise,
    "6-bit µ-law": _mu_law,
    "hard clipping": _hard_clipping,
}


def corrupt(clips: torch.Tensor) -> torch.Tensor:
    """Corrupts clips [B, 1, samples] in every way about equally often."""
    kinds = list(CORRUPTIONS.values())
    first = int(torch.randint(len(kinds), ()))
    return torch.cat([kinds[(first + index) % len(kinds)](clip) for index, clip in enumerate(torch.split(clips, 1))])
