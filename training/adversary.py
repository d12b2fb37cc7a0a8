"""The adversary of codec training: three discriminators combined into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from audiocraft_triton.scoring.discriminators import DiscriminatorSet
from training.initialization import make_responsive
from training.upstream import (
    AdversarialLoss,
    FeatureMatchingLoss,
    get_adv_criterion,
    get_fake_criterion,
    get_real_criterion,
)


@dataclass(frozen=True, slots=True)
class AdversarySizes:
    """Constructor arguments of audiocraft's three discriminators. They are sized for speed and never shipped."""

    mpd: Mapping[str, Any] = field(
        default_factory=lambda: {
            "periods": [2, 3, 5, 7, 11], "filters": 4, "max_filters": 64, "kernel_sizes": [5, 3],
        }
    )  # fmt: skip
    # Ungrouped convolutions instead of the usual grouped ones: at these widths they are faster on a GPU.
    msd: Mapping[str, Any] = field(
        default_factory=lambda: {
            "scale_norms": ["weight_norm"] * 3, "filters": 8, "max_filters": 64, "groups": [1, 1, 1, 1],
        }
    )  # fmt: skip
    msstftd: Mapping[str, Any] = field(
        default_factory=lambda: {
            "filters": 16, "n_ffts": [2048, 1024, 512], "hop_lengths": [512, 256, 128],
            "win_lengths": [2048, 1024, 512],
        }
    )  # fmt: skip


class JointDiscriminator(nn.Module):
    """Lists all sub-discriminators of a `DiscriminatorSet` in one module, as `AdversarialLoss` expects them.

    One list rather than three losses, because the balancer needs a separate gradient for every loss. On a GPU the
    layers compute in bfloat16; logits and feature maps are returned as float32.
    """

    def __init__(self, discriminators: DiscriminatorSet) -> None:
        super().__init__()
        self.discriminators = discriminators

    def forward(self, waveform: torch.Tensor) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
        """Scores waveforms, float32 [B, 1, samples]; returns logits and feature maps per sub-discriminator."""
        logits: list[torch.Tensor] = []
        feature_maps: list[list[torch.Tensor]] = []
        with torch.autocast("cuda", torch.bfloat16, enabled=waveform.is_cuda):
            for discriminator in self.discriminators.values():
                some_logits, some_maps = discriminator(waveform)
                logits += some_logits
                feature_maps += some_maps
        return [logit.float() for logit in logits], [[one.float() for one in maps] for maps in feature_maps]


def make_adversary(sizes: AdversarySizes, device: torch.device, betas: tuple[float, float]) -> AdversarialLoss:
    """Builds the discriminators with their optimizer (also in `state_dict`), hinge loss and feature matching."""
    config = OmegaConf.create({"mpd": dict(sizes.mpd), "msd": dict(sizes.msd), "msstftd": dict(sizes.msstftd)})
    adversary = JointDiscriminator(DiscriminatorSet.build(config)).to(device).train()
    make_responsive(adversary)
    optimizer = torch.optim.Adam(adversary.parameters(), betas=betas, fused=device.type == "cuda")
    return AdversarialLoss(
        adversary,
        optimizer,
        loss=get_adv_criterion("hinge"),
        loss_real=get_real_criterion("hinge"),
        loss_fake=get_fake_criterion("hinge"),
        loss_feat=FeatureMatchingLoss(),
    )
