"""The exported discriminators return the means of the eager ones' outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from audiocraft.adversarial.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import DiscriminatorSet, load_discriminators
from audiocraft_triton.torchscript import archive
from audiocraft_triton.torchscript.discriminators import MICRO_BATCH, WindowDiscriminator, feature_layout
from audiocraft_triton.torchscript.verify import VerificationError, varied_audio, verify_discriminator

SAMPLE_RATE = 32_000
WINDOW = 6001


@pytest.fixture(scope="module")
def eager(demo_checkpoints: Path) -> DiscriminatorSet:
    return load_discriminators(resolve(str(demo_checkpoints / "music")))[0]


@pytest.fixture(scope="module")
def scripted(eager: DiscriminatorSet) -> dict[str, torch.jit.ScriptModule]:
    return {name: archive.from_bytes(archive.to_bytes(WindowDiscriminator(eager[name]))) for name in DISCRIMINATORS}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_outputs_are_the_means_of_the_eager_maps(
    name: str, eager: DiscriminatorSet, scripted: dict[str, torch.jit.ScriptModule]
) -> None:
    windows = varied_audio(SAMPLE_RATE, 3, 1, WINDOW)
    with torch.no_grad():
        logits, features = scripted[name](windows)
        logit_maps, feature_maps = eager[name](windows)
    layout = feature_layout(name, WindowDiscriminator(eager[name]))
    for part, logit_map in enumerate(logit_maps):
        assert torch.equal(logits[:, part], logit_map.flatten(1).mean(1))
    assert sum(len(part) for part in feature_maps) == len(layout)
    for place in layout:
        means = feature_maps[place.part][place.layer].flatten(2).mean(2)
        assert means.shape[1] == place.channels
        assert torch.equal(features[:, place.offset : place.offset + place.channels], means)
    assert layout[-1].offset + layout[-1].channels == features.shape[1]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_a_window_gets_the_same_scores_in_any_batch(name: str, scripted: dict[str, torch.jit.ScriptModule]) -> None:
    windows = varied_audio(SAMPLE_RATE, 2 * MICRO_BATCH + 3, 1, WINDOW)
    with torch.no_grad():
        logits, features = scripted[name](windows)
        alone = [scripted[name](window[None]) for window in windows]
    torch.testing.assert_close(logits, torch.cat([row for row, _ in alone]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(features, torch.cat([row for _, row in alone]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_verification_notices_weights_that_differ(
    name: str, eager: DiscriminatorSet, scripted: dict[str, torch.jit.ScriptModule], demo_checkpoints: Path
) -> None:
    assert verify_discriminator(name, eager[name], scripted[name], SAMPLE_RATE, WINDOW) == 4
    changed = load_discriminators(resolve(str(demo_checkpoints / "music")))[0][name]
    changed.discriminators[-1].conv_post.conv.bias.data += 1e-3
    with pytest.raises(VerificationError, match=rf"{name} logits: for input \[1, 1, {WINDOW}\]"):
        verify_discriminator(name, changed, scripted[name], SAMPLE_RATE, WINDOW)


def test_msd_scales_get_different_signals_although_upstreams_get_one(
    eager: DiscriminatorSet, scripted: dict[str, torch.jit.ScriptModule]
) -> None:
    upstream = MultiScaleDiscriminator(scale_norms=["weight_norm"] * 3, filters=8, max_filters=64).eval()
    upstream.load_state_dict(eager["msd"].state_dict())
    windows = varied_audio(SAMPLE_RATE, 2, 1, WINDOW)
    with torch.no_grad():
        logits, _ = scripted["msd"](windows)
        maps, _ = upstream(windows)
    flat = torch.stack([part.flatten(1).mean(1) for part in maps], dim=1)
    assert torch.equal(logits[:, 0], flat[:, 0])
    assert not torch.isclose(logits[:, 1], flat[:, 1], rtol=1e-4).any()
    assert not torch.isclose(logits[:, 2], flat[:, 2], rtol=1e-4).any()


def test_other_discriminators_are_refused_with_the_reason() -> None:
    with pytest.raises(CheckpointError, match="a MultiScaleDiscriminator can't be exported"):
        WindowDiscriminator(MultiScaleDiscriminator(filters=8, max_filters=16))
    with pytest.raises(CheckpointError, match="several channels"):
        WindowDiscriminator(MultiPeriodDiscriminator(in_channels=2, filters=2, max_filters=8))
