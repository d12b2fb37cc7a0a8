"""The three discriminators as eager modules, which training trains and export turns into TorchScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from audiocraft_triton.checkpoints.layout import DISCRIMINATORS_FILE, Checkpoint
from audiocraft_triton.checkpoints.reading import read_package
from audiocraft_triton.checkpoints.upstream import (
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleSTFTDiscriminator,
)
from audiocraft_triton.contract.errors import CheckpointError


class ScaledMultiScaleDiscriminator(MultiScaleDiscriminator):  # type: ignore[misc]
    """MSD whose sub-discriminators see the signal at scales 1, 2, 4, …, as MelGAN's do (arXiv:1910.06711).

    audiocraft's `MultiScaleDiscriminator.forward` downsamples the signal and drops the result, so that all its
    sub-discriminators see the same signal. This class uses the result. The weights have the same names and shapes.
    """

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
        """Args: x: float [B, channels, samples]. Returns: logits and feature maps, per scale."""
        logits, feature_maps = [], []
        for index, discriminator in enumerate(self.discriminators):
            if index > 0:
                x = self.downsample(x)
            logit, feature_map = discriminator(x)
            logits.append(logit)
            feature_maps.append(feature_map)
        return logits, feature_maps


class DiscriminatorSet(nn.ModuleDict):
    """MPD, MSD and MS-STFT discriminators under those names."""

    @classmethod
    def build(cls, config: DictConfig) -> DiscriminatorSet:
        """Builds the three from the constructor arguments under `mpd`, `msd` and `msstftd`."""
        arguments: Mapping[str, Any] = OmegaConf.to_container(config)
        return cls(
            {
                "mpd": MultiPeriodDiscriminator(**arguments["mpd"]),
                "msd": ScaledMultiScaleDiscriminator(**arguments["msd"]),
                "msstftd": MultiScaleSTFTDiscriminator(**arguments["msstftd"]),
            }
        ).eval()


def load_discriminators(checkpoint: Checkpoint) -> tuple[DiscriminatorSet, DictConfig]:
    """Reads `discriminators.bin` or its pair; returns the eager modules in eval mode and their config.

    The config has `sample_rate` in Hz, `window` in samples and `calibration`, which is None for weights that were
    never calibrated, else {name: {scale, bias}} for the logistic map from mean logit to probability.

    Raises:
        CheckpointError: the file is missing, unsafe or incomplete.
    """
    files = checkpoint.files(DISCRIMINATORS_FILE)
    package = read_package(files)
    try:
        config = OmegaConf.create(package["xp.cfg"])
        discriminators = DiscriminatorSet.build(config)
        discriminators.load_state_dict(package["best_state"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{files[0].name} of checkpoint {checkpoint.name!r} does not describe the three discriminators: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return discriminators, config
