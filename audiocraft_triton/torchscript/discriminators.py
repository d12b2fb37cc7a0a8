"""MPD, MSD and MS-STFT as TorchScript: windows of audio -> mean logits and mean activations.

Triton needs flat outputs with the batch first, so the feature maps become one row per window: the mean of every
channel of every layer over its positions. `feature_layout` maps columns to layers.
"""

# No `from __future__ import annotations` here: TorchScript reads the annotations of attributes as types.

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.checkpoints.upstream import (
    DiscriminatorSTFT,
    MultiPeriodDiscriminator,
    MultiScaleSTFTDiscriminator,
    PeriodDiscriminator,
    ScaleDiscriminator,
)
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.scoring.discriminators import ScaledMultiScaleDiscriminator
from audiocraft_triton.torchscript.convolutions import frozen_copy, integers, plain_convolution

MICRO_BATCH = 8
"""Windows computed at a time; bounds the memory of a long clip's feature maps."""


@dataclass(frozen=True, slots=True)
class FeatureLayer:
    """Position of one layer's channel means in a row of `feature_maps`.

    Attributes:
        discriminator: `mpd`, `msd` or `msstftd`.
        part: index of the sub-discriminator.
        layer: index of the layer in the sub-discriminator.
        channels: number of columns.
        offset: first column.
    """

    discriminator: str
    part: int
    layer: int
    channels: int
    offset: int


class WindowDiscriminator(nn.Module):
    """One of the three discriminators over windows of mono audio, for any batch and any length that it supports."""

    def __init__(self, source: nn.Module) -> None:
        """Raises: CheckpointError: `source` is not one of the three discriminators, or takes several channels."""
        super().__init__()
        if isinstance(source, ScaledMultiScaleDiscriminator):
            self.between = frozen_copy(source.downsample)
        elif isinstance(source, (MultiPeriodDiscriminator, MultiScaleSTFTDiscriminator)):
            self.between = nn.Identity()
        else:
            raise CheckpointError(
                f"a {type(source).__name__} can't be exported: must be a MultiPeriodDiscriminator, a "
                "ScaledMultiScaleDiscriminator or a MultiScaleSTFTDiscriminator"
            )
        self.parts = nn.ModuleList(_Part(part) for part in source.discriminators)
        self.micro_batch = MICRO_BATCH

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Scores windows.

        Args:
            window: float32 [B, 1, samples].

        Returns:
            logits: float32 [B, parts], the mean logit of each sub-discriminator over its positions;
            feature_maps: float32 [B, features], see `feature_layout`.
        """
        logits: list[Tensor] = []
        features: list[Tensor] = []
        for windows in torch.split(window, self.micro_batch):
            signal = windows
            part_logits: list[Tensor] = []
            part_features: list[Tensor] = []
            for index, part in enumerate(self.parts):
                if index > 0:
                    signal = self.between(signal)
                logit, means = part(signal)
                part_logits.append(logit)
                part_features.append(means)
            logits.append(torch.stack(part_logits, dim=1))
            features.append(torch.cat(part_features, dim=1))
        return torch.cat(logits), torch.cat(features)


def feature_layout(name: str, discriminator: WindowDiscriminator) -> tuple[FeatureLayer, ...]:
    """Lists the layers in the order of their columns; the last one's offset plus channels is the column count."""
    layout: list[FeatureLayer] = []
    offset = 0
    for index, part in enumerate(discriminator.parts):
        assert isinstance(part, _Part)
        for layer, channels in enumerate(part.feature_channels()):
            layout.append(FeatureLayer(name, index, layer, channels, offset))
            offset += channels
    return tuple(layout)


class _Part(nn.Module):
    """One sub-discriminator: a view of the signal, convolutions with activations, a last convolution."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        if isinstance(source, PeriodDiscriminator):
            self.view: nn.Module = _Periods(int(source.period))
        elif isinstance(source, ScaleDiscriminator):
            self.view = nn.Identity()
        elif isinstance(source, DiscriminatorSTFT):
            self.view = _ComplexSpectrogram(source)
        else:
            raise CheckpointError(f"a {type(source).__name__} sub-discriminator can't be exported")
        self.layers = nn.ModuleList(_rebuilt(layer) for layer in source.convs)
        self.activation = frozen_copy(source.activation)
        self.last = plain_convolution(source.conv_post)
        # Upstream lists the logit map among the feature maps of periods and scales, but not of STFTs.
        self.logits_are_features = not isinstance(source, DiscriminatorSTFT)
        if _convolution(self.layers[0]).in_channels != (2 if isinstance(source, DiscriminatorSTFT) else 1):
            raise CheckpointError("the discriminator takes several channels: only mono discriminators can be exported")

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.view(signal)
        means: list[Tensor] = []
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
            means.append(hidden.flatten(2).mean(2))
        logits = self.last(hidden)
        if self.logits_are_features:
            means.append(logits.flatten(2).mean(2))
        return logits.flatten(1).mean(1), torch.cat(means, dim=1)

    @torch.jit.unused
    def feature_channels(self) -> list[int]:
        """Returns the channels of each layer of the feature map, in order."""
        layers = [*self.layers, self.last] if self.logits_are_features else list(self.layers)
        return [_convolution(layer).out_channels for layer in layers]


class _Periods(nn.Module):
    """Folds a signal [B, 1, samples] into rows of one period, [B, 1, rows, period]."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period

    def forward(self, signal: Tensor) -> Tensor:
        missing = (self.period - signal.shape[-1] % self.period) % self.period
        if missing > 0:
            signal = F.pad(signal, [0, missing], "reflect")
        batch, channels, samples = signal.shape
        return signal.view(batch, channels, samples // self.period, self.period)


class _ComplexSpectrogram(nn.Module):
    """torchaudio's complex `Spectrogram`: [B, 1, samples] to real and imaginary parts [B, 2, frames, bins]."""

    window: Tensor

    def __init__(self, source: DiscriminatorSTFT) -> None:
        super().__init__()
        transform = source.spec_transform
        self.size = int(transform.n_fft)
        self.hop = int(transform.hop_length)
        self.width = int(transform.win_length)
        self.normalized = bool(source.normalized)
        self.register_buffer("window", transform.window.detach().clone())

    def forward(self, signal: Tensor) -> Tensor:
        spectrum = torch.stft(
            signal.squeeze(1), self.size, self.hop, self.width, self.window, center=False, onesided=True,
            return_complex=True,
        ).unsqueeze(1)  # fmt: skip
        if self.normalized:
            spectrum = spectrum / self.window.pow(2.0).sum().sqrt()
        return torch.cat([spectrum.real, spectrum.imag], dim=1).transpose(2, 3)


def _rebuilt(layer: nn.Module) -> nn.Module:
    """Rebuilds a convolution, or the scale discriminators' first layer, which is padding and a convolution."""
    if not isinstance(layer, nn.Sequential):
        return plain_convolution(layer)
    padding, convolution = layer
    padding = copy.deepcopy(padding)
    vars(padding)["padding"] = integers(padding.padding)
    return nn.Sequential(padding, plain_convolution(convolution))


def _convolution(layer: nn.Module) -> nn.Conv1d | nn.Conv2d:
    """Returns the convolution in a layer that `_rebuilt` made."""
    return next(module for module in layer.modules() if isinstance(module, (nn.Conv1d, nn.Conv2d)))
