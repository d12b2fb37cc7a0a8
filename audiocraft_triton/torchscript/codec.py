"""EnCodec as two TorchScript modules, waveform -> codes and codes -> waveform, bit-identical to audiocraft's.

The layers are rebuilt rather than traced: a trace would bake the padding of one length into the graph.
The operations, their order and the memory layout of their inputs are audiocraft's, because each of them can
change the last bit of a distance, and so a code.
"""

# No `from __future__ import annotations` here: TorchScript reads the annotations of attributes as types.

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.checkpoints.upstream import (
    CompressionModel,
    EncodecModel,
    ResidualVectorQuantizer,
    SEANetDecoder,
    SEANetEncoder,
    SEANetResnetBlock,
    StreamableConv1d,
    StreamableConvTranspose1d,
    StreamableLSTM,
)
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.torchscript.convolutions import frozen_copy, plain_convolution


class CodecEncoder(nn.Module):
    """Waveform -> codes, for any batch and any length from one sample; a clip's codes don't depend on its batch."""

    codebooks: Tensor

    def __init__(self, codec: CompressionModel) -> None:
        """Raises: CheckpointError: the codec can't be exported; the message gives the reason."""
        super().__init__()
        require_exportable(codec)
        self.layers = _rebuilt(codec.encoder.model)
        self.register_buffer("codebooks", _stacked_codebooks(codec.quantizer))

    def forward(self, waveform: Tensor) -> Tensor:
        """Args: waveform: float32 [B, channels, samples]. Returns: codes, int32 [B, codebooks, frames]."""
        # One clip at a time: other batch sizes use other kernels, whose last bits can change codes.
        codes: list[Tensor] = []
        for index in range(waveform.shape[0]):
            codes.append(self._encode(waveform[index : index + 1]))
        return torch.cat(codes)

    def _encode(self, waveform: Tensor) -> Tensor:
        residual = self.layers(waveform)
        batch, width, frames = residual.shape
        codes: list[Tensor] = []
        for index in range(self.codebooks.shape[0]):
            codebook = self.codebooks[index]
            vectors = residual.transpose(1, 2).reshape(batch * frames, width)
            entries = codebook.t()
            squares = vectors.pow(2).sum(1, keepdim=True)
            distance = squares - 2 * vectors @ entries + entries.pow(2).sum(0, keepdim=True)
            code = (-distance).max(dim=-1)[1].view(batch, frames)
            residual = residual - F.embedding(code, codebook).transpose(1, 2)
            codes.append(code)
        return torch.stack(codes, dim=1).to(torch.int32)


class CodecDecoder(nn.Module):
    """Codes -> waveform, for any batch and any length from one frame."""

    codebooks: Tensor

    def __init__(self, codec: CompressionModel) -> None:
        """Raises: CheckpointError: the codec can't be exported; the message gives the reason."""
        super().__init__()
        require_exportable(codec)
        self.layers = _rebuilt(codec.decoder.model)
        self.register_buffer("codebooks", _stacked_codebooks(codec.quantizer))

    def forward(self, codes: Tensor) -> Tensor:
        """Decodes.

        Args:
            codes: int32 [B, codebooks, frames], each from 0 to card - 1.

        Returns:
            waveform, float32 [B, channels, frames * hop_length].
        """
        count, card, _ = self.codebooks.shape
        if codes.shape[1] != count:
            raise ValueError(f"codes: must have {count} codebooks, not {codes.shape[1]}")
        # A lookup outside a codebook is undefined behaviour, and on a GPU it ends the whole process.
        if int(codes.min()) < 0 or int(codes.max()) >= card:
            raise ValueError(f"codes: must be 0 to {card - 1}")
        latent = F.embedding(codes[:, 0].to(torch.int64), self.codebooks[0]).transpose(1, 2)
        for index in range(1, count):
            entries = F.embedding(codes[:, index].to(torch.int64), self.codebooks[index])
            latent = latent + entries.transpose(1, 2)
        waveform: Tensor = self.layers(latent)
        return waveform


def require_exportable(codec: CompressionModel) -> None:
    """Accepts only audiocraft's own EnCodec with a residual quantizer.

    Raises:
        CheckpointError: the codec is another one; the message gives the reason.
    """
    if not isinstance(codec, EncodecModel):
        raise CheckpointError(
            f"the codec is a {type(codec).__name__}: only audiocraft's own EncodecModel can be exported "
            "(not the Hugging Face wrapper, DAC, or interleaved stereo)"
        )
    if codec.renormalize:
        raise CheckpointError(
            "the codec renormalizes loudness (renormalize=True): its codes are meaningless without a scale per "
            "clip, which neither files of codes nor the language model carry"
        )
    if not isinstance(codec.quantizer, ResidualVectorQuantizer):
        raise CheckpointError(
            f"the codec's quantizer is a {type(codec.quantizer).__name__}: must be ResidualVectorQuantizer"
        )
    if not isinstance(codec.encoder, SEANetEncoder) or not isinstance(codec.decoder, SEANetDecoder):
        networks = f"{type(codec.encoder).__name__} and {type(codec.decoder).__name__}"
        raise CheckpointError(f"the codec's networks are {networks}: must be SEANet's")


class _PaddedConvolution(nn.Module):
    """`StreamableConv1d`: pads so that the last window is full, whatever the length."""

    def __init__(self, source: StreamableConv1d) -> None:
        super().__init__()
        convolution = source.conv.conv
        self.convolution = plain_convolution(source.conv)
        self.stride = int(convolution.stride[0])
        padding = (int(convolution.kernel_size[0]) - 1) * int(convolution.dilation[0]) + 1 - self.stride
        self.right = 0 if source.causal else padding // 2
        self.left = padding - self.right
        self.mode = str(source.pad_mode)

    def forward(self, signal: Tensor) -> Tensor:
        # The fixed padding is the kernel size minus the stride, so full windows are whole strides.
        length = signal.shape[-1]
        right = self.right + (self.stride - length % self.stride) % self.stride
        missing = 0
        if self.mode == "reflect":
            # A reflection needs more samples than it pads: a short signal is first extended by zeros, cut off below.
            missing = max(0, max(self.left, right) - length + 1)
            signal = F.pad(signal, [0, missing])
        signal = F.pad(signal, [self.left, right], self.mode)
        convolved: Tensor = self.convolution(signal[..., : signal.shape[-1] - missing])
        return convolved


class _TrimmedTransposedConvolution(nn.Module):
    """`StreamableConvTranspose1d`: drops the fixed padding from the result."""

    def __init__(self, source: StreamableConvTranspose1d) -> None:
        super().__init__()
        convolution = source.convtr.convtr
        self.convolution = plain_convolution(source.convtr)
        padding = int(convolution.kernel_size[0]) - int(convolution.stride[0])
        self.right = math.ceil(padding * source.trim_right_ratio) if source.causal else padding // 2
        self.left = padding - self.right

    def forward(self, signal: Tensor) -> Tensor:
        signal = self.convolution(signal)
        return signal[..., self.left : signal.shape[-1] - self.right]


class _ResidualBlock(nn.Module):
    """`SEANetResnetBlock`."""

    def __init__(self, source: SEANetResnetBlock) -> None:
        super().__init__()
        self.block = _rebuilt(source.block)
        self.shortcut = _rebuilt(source.shortcut)

    def forward(self, signal: Tensor) -> Tensor:
        summed: Tensor = self.shortcut(signal) + self.block(signal)
        return summed


class _Recurrence(nn.Module):
    """`StreamableLSTM` over a signal [B, channels, time]."""

    def __init__(self, source: StreamableLSTM) -> None:
        super().__init__()
        self.skip = bool(source.skip)
        self.lstm = frozen_copy(source.lstm)

    def forward(self, signal: Tensor) -> Tensor:
        steps = signal.permute(2, 0, 1)
        result: Tensor = self.lstm(steps)[0]
        if self.skip:
            result = result + steps
        return result.permute(1, 2, 0)


def _rebuilt(module: nn.Module) -> nn.Module:
    """Returns the scriptable counterpart of one of SEANet's modules.

    Raises:
        CheckpointError: the module is not part of SEANet.
    """
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*(_rebuilt(layer) for layer in module))
    if isinstance(module, StreamableConv1d):
        return _PaddedConvolution(module)
    if isinstance(module, StreamableConvTranspose1d):
        return _TrimmedTransposedConvolution(module)
    if isinstance(module, SEANetResnetBlock):
        return _ResidualBlock(module)
    if isinstance(module, StreamableLSTM):
        return _Recurrence(module)
    if isinstance(module, nn.Identity) or type(module).__module__ == "torch.nn.modules.activation":
        return frozen_copy(module)
    raise CheckpointError(f"can't export a {type(module).__name__} layer: not one of SEANet's")


def _stacked_codebooks(quantizer: ResidualVectorQuantizer) -> Tensor:
    """Returns the codebooks in use, float32 [codebooks, card, width].

    Raises:
        CheckpointError: the codebooks have another width than the latents and need a projection.
    """
    layers = quantizer.vq.layers[: quantizer.num_codebooks]
    if not all(isinstance(layer.project_in, nn.Identity) for layer in layers):
        raise CheckpointError("the codec projects its latents before quantizing them: it can't be exported")
    return torch.stack([layer.codebook.detach() for layer in layers])
