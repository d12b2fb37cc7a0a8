"""MultiBand Diffusion gives upstream's sound for upstream's noise, and each clip has its own noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.models import MultiBandDiffusion as Upstream
from audiocraft.models.loaders import load_compression_model, load_diffusion_models
from audiocraft.models.multibanddiffusion import DiffusionProcess
from audiocraft.modules.diffusion_schedule import NoiseSchedule

from audiocraft_triton.checkpoints.layout import DIFFUSION_FILE
from audiocraft_triton.engine.codec.multiband_diffusion import MultiBandDiffusion


@pytest.fixture(scope="module")
def decoder(demo_checkpoints: Path) -> MultiBandDiffusion:
    assert demo_checkpoints.is_dir()
    return MultiBandDiffusion("demo", device="cpu")


@pytest.fixture(scope="module")
def upstream(demo_checkpoints: Path) -> Upstream:
    """The result of `MultiBandDiffusion.get_mbd_musicgen`, from the test's files instead of the hub's."""
    folder = demo_checkpoints / "music"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # upstream reads a DictConfig; the file is the test's own
        models, processors, configs = load_diffusion_models(folder, filename=DIFFUSION_FILE)
        codec = load_compression_model(folder)
    processes = [
        DiffusionProcess(model, NoiseSchedule(**config.schedule, sample_processor=processor, device="cpu"))
        for model, processor, config in zip(models, processors, configs, strict=True)
    ]
    return Upstream(DPs=processes, codec_model=codec)


def codes(batch: int, frames: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 512, (batch, 4, frames))


@pytest.mark.parametrize("frames", [25, 31])
@pytest.mark.parametrize("seed", [7, 2**63 - 1])
def test_sound_equals_upstreams_for_the_same_noise(
    decoder: MultiBandDiffusion, upstream: Upstream, frames: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(seed)
    draws = []

    def draw(like: torch.Tensor) -> torch.Tensor:
        draws.append(like.shape)
        return torch.randn(like.shape[1:], generator=generator)[None]

    ours = decoder.decode(codes(1, frames), [seed])
    monkeypatch.setattr(torch, "randn_like", draw)
    with torch.no_grad():
        theirs = upstream.tokens_to_wav(torch.from_numpy(codes(1, frames))).numpy()
    assert len(draws) == 2 * 20  # bands × (start and every step but the last)
    assert ours.shape == theirs.shape == (1, 1, 640 * frames)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours).max() > 0.05  # the compared sound is not silence


def test_a_clip_sounds_the_same_alone_and_in_a_batch(decoder: MultiBandDiffusion) -> None:
    clips, seeds = codes(3, 20), [5, 6, 5]
    together = decoder.decode(clips, seeds)
    for index, seed in enumerate(seeds):
        alone = decoder.decode(clips[index : index + 1], [seed])
        np.testing.assert_allclose(together[index], alone[0], atol=1e-5)


def test_the_seed_determines_the_sound(decoder: MultiBandDiffusion) -> None:
    clip = codes(1, 20)
    first, again, other = (decoder.decode(clip, [seed]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_decoding_leaves_torchs_global_random_state_alone(decoder: MultiBandDiffusion) -> None:
    before = torch.get_rng_state()
    decoder.decode(codes(1, 10), [1])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_decoder_has_its_sample_rate(decoder: MultiBandDiffusion) -> None:
    assert decoder.sample_rate == 32_000
