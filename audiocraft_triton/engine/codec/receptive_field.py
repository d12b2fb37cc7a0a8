"""Computes which frames a convolutional decoder needs for the samples of a frame, from the decoder's layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

from audiocraft_triton.checkpoints.upstream import (
    EncodecConv1d,
    EncodecConvTranspose1d,
    EncodecResnetBlock,
    SEANetResnetBlock,
    StreamableConv1d,
    StreamableConvTranspose1d,
)

_Range = tuple[int, int]
_Needed = Callable[[_Range], _Range]  # from a layer's outputs to the inputs that they depend on

_POINTWISE = (nn.ELU, nn.GELU, nn.Identity, nn.LeakyReLU, nn.ReLU, nn.Sigmoid, nn.SiLU, nn.Tanh)


class NotStreamable(Exception):
    """The codec has layers that see the whole clip, or that this module does not know."""


class ReceptiveField:
    """The frames that consecutive layers need for given samples. All ranges are half-open.

    Attributes:
        rate: samples per frame.
        left, right: frames needed before and after a frame that is far from the clip's beginning.
        channels: channels of the output.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self.rate, self.channels = 1, 0
        self._layers = [self._visit(layer) for layer in layers]
        far = 1 << 20
        start, stop = self._needed(far, far + 1)
        self.left, self.right = far - start, stop - (far + 1)

    def final(self, known: int) -> int:
        """Returns the number of frames whose sound depends only on the first `known` frames."""
        frames = max(0, known - self.right)
        while frames > 0 and self._needed(0, frames)[1] > known:
            frames -= 1
        return frames

    def first(self, done: int) -> int:
        """Returns the frame at which a window must begin for its output to be right from frame `done` on."""
        # Layers pad differently if the input is not longer than their padding. No window is so short unless it is the
        # whole clip: this context and one frame are longer than any layer's padding.
        return max(0, done - self.left)

    def _needed(self, start: int, stop: int) -> tuple[int, int]:
        """Returns the frames on which the samples of frames `start` … `stop` depend."""
        return _backwards(self._layers, (start * self.rate, stop * self.rate))

    def _visit(self, layer: nn.Module) -> _Needed:
        """Returns a function from a range of the layer's outputs to the range of inputs on which they depend."""
        if isinstance(layer, _POINTWISE):
            return lambda outputs: outputs
        if isinstance(layer, (SEANetResnetBlock, EncodecResnetBlock)):
            self._visit(layer.shortcut)
            block = [self._visit(inner) for inner in layer.block]
            # The shortcut has kernel size 1: the block needs its inputs, too.
            return lambda outputs: _backwards(block, outputs)
        if isinstance(layer, (StreamableConv1d, EncodecConv1d)):
            return self._visit_convolution(layer)
        if isinstance(layer, (StreamableConvTranspose1d, EncodecConvTranspose1d)):
            return self._visit_transposed(layer)
        raise NotStreamable(type(layer).__name__)

    def _visit_convolution(self, layer: Any) -> _Needed:
        convolution = _only_convolution(layer)
        if convolution.stride[0] != 1 or layer.pad_mode not in ("reflect", "replicate", "constant"):
            raise NotStreamable(f"stride {convolution.stride[0]}, {layer.pad_mode} padding")
        span = int((convolution.kernel_size[0] - 1) * convolution.dilation[0])
        right = 0 if layer.causal else span // 2
        left = span - right
        reflects = layer.pad_mode == "reflect"
        self.channels = int(convolution.out_channels)

        def needed(outputs: _Range) -> _Range:
            start, stop = outputs[0] - left, outputs[1] + right
            if reflects and start < 0:
                stop = max(stop, 1 - start)
            return max(0, start), stop

        return needed

    def _visit_transposed(self, layer: Any) -> _Needed:
        convolution = _only_convolution(layer)
        kernel, stride = int(convolution.kernel_size[0]), int(convolution.stride[0])
        right = math.ceil((kernel - stride) * layer.trim_right_ratio) if layer.causal else (kernel - stride) // 2
        left = kernel - stride - right
        self.channels = int(convolution.out_channels)
        self.rate *= stride

        def needed(outputs: _Range) -> _Range:
            start = -((kernel - 1 - left - outputs[0]) // stride)
            return max(0, start), (outputs[1] - 1 + left) // stride + 1

        return needed


def _only_convolution(layer: nn.Module) -> Any:
    """Returns the convolution of a layer that contains nothing else, such as a norm over time."""
    leaves = [leaf for leaf in layer.modules() if not any(leaf.children()) and not isinstance(leaf, nn.Identity)]
    if len(leaves) != 1:
        raise NotStreamable(", ".join(type(leaf).__name__ for leaf in leaves))
    return leaves[0]


def _backwards(layers: Sequence[_Needed], outputs: _Range) -> _Range:
    for needed in reversed(layers):
        outputs = needed(outputs)
    return outputs
