"""MultiBand Diffusion (arXiv:2308.02560): decodes EnCodec tokens by diffusion, in batches whose clips don't mix.

Upstream's sampler draws from one global generator and matches its equalizer over the whole batch, so that a clip's
sound depends on the other clips in the batch. Here every clip has its own seed and its own equalizer; a single clip
with the same draws equals the result of upstream's `tokens_to_wav`.
"""

from __future__ import annotations

from collections.abc import Sequence

import julius
import numpy as np
import torch
from numpy.typing import NDArray

from audiocraft_triton.audio.files import Waveform
from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import DiffusionBand, load_codec, load_diffusion

EQUALIZER_BANDS = 32
# Upstream's default subset of the noise schedule's 1000 steps: every 50th, then the cleanest.
STEPS = [*range(999, -1, -50), 0]


class MultiBandDiffusion:
    """Decodes EnCodec tokens with one diffusion process per band.

    Args:
        checkpoint: checkpoint whose codec made the tokens.
        diffusion_checkpoint: checkpoint whose `mbd_musicgen_32khz.th` decodes them; by default `checkpoint`.
        device: torch device; by default the GPU if there is one.

    Raises:
        CheckpointError: a checkpoint is missing, unsafe or of an unknown kind.
    """

    def __init__(
        self,
        checkpoint: str = "demo",
        diffusion_checkpoint: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.codec = load_codec(resolve(checkpoint), self.device)
        self._bands = load_diffusion(resolve(diffusion_checkpoint or checkpoint), self.device)
        self._equalizer = julius.SplitBands(sample_rate=self.codec.sample_rate, n_bands=EQUALIZER_BANDS).to(self.device)

    @property
    def sample_rate(self) -> int:
        """Hz of the decoded sound."""
        return int(self.codec.sample_rate)

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.int32], seeds: Sequence[int]) -> Waveform:
        """Decodes clips of one length.

        Args:
            codes: integers [batch, codebooks, frames], each from 0 to card - 1.
            seeds: one per clip; the same seed gives the same sound.

        Returns:
            float32 [batch, channels, samples].
        """
        tokens = torch.from_numpy(np.asarray(codes, dtype=np.int64)).to(self.device)
        reference = self.codec.decode(tokens)
        latent = self.codec.decode_latent(tokens)
        noise = _SeededNoise(seeds, reference)
        sound = torch.zeros_like(reference)
        for band in self._bands:
            sound += _denoise(band, latent, noise)
        return self._match_equalizer(sound, reference).cpu().numpy()

    def _match_equalizer(self, sound: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Gives each clip, band by band, the loudness of its plain EnCodec decoding. Both are [B, C, samples]."""
        bands, wanted = self._equalizer(sound), self._equalizer(reference)
        gain = wanted.std(dim=(-2, -1), keepdim=True) / bands.std(dim=(-2, -1), keepdim=True)
        matched: torch.Tensor = (bands * gain).sum(dim=0)
        return matched


class _SeededNoise:
    """Normal noise for a batch; each clip's noise is drawn from its own seed on the CPU, so devices don't differ."""

    def __init__(self, seeds: Sequence[int], like: torch.Tensor) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._like = like

    def draw(self) -> torch.Tensor:
        """Draws float32 noise of the batch's shape [B, C, samples]."""
        shape = self._like.shape[1:]
        clips = [torch.randn(shape, generator=generator) for generator in self._generators]
        return torch.stack(clips).to(self._like)


def _denoise(band: DiffusionBand, latent: torch.Tensor, noise: _SeededNoise) -> torch.Tensor:
    """Runs the reverse process over `STEPS`, as upstream's `NoiseSchedule.generate_subsampled`: [B, C, samples]."""
    schedule = band.schedule
    cleanness = (1 - schedule.betas).cumprod(dim=0)
    visited = cleanness[STEPS]
    current = noise.draw() * schedule.noise_scale
    for index, step in enumerate(STEPS[:-1]):
        last = index == len(STEPS) - 2
        estimate = band.network(current, step, condition=latent).sample * schedule.noise_scale
        alpha_bar = visited[index]
        alpha = alpha_bar / visited[index + 1]
        previous = (current - (1 - alpha) / (1 - alpha_bar).sqrt() * estimate) / alpha.sqrt()
        if not last:
            variance = (1 - visited[index + 1]) / (1 - alpha_bar) * (1 - alpha)
            previous = previous + variance.sqrt() * noise.draw() * schedule.noise_scale
        if schedule.clip:
            previous = previous.clamp(-schedule.clip, schedule.clip)
        current = previous * schedule.rescale if step == 0 else previous
    sound: torch.Tensor = schedule.sample_processor.return_sample(current)
    return sound
