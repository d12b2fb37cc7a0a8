"""Verifies that an exported model computes what audiocraft computes, on audio that would expose a difference."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiocraft_triton.checkpoints.upstream import EncodecModel
from audiocraft_triton.contract.models import ENCODEC_DECODER, ENCODEC_ENCODER
from audiocraft_triton.torchscript.discriminators import MICRO_BATCH

BATCHES = (1, 2, 5)
_TOLERANCE = 1e-5


class VerificationError(RuntimeError):
    """An exported model differs from eager, or the comparison would prove nothing; names the model and the shape."""


@torch.no_grad()
def verify_encoder(codec: EncodecModel, exported: torch.jit.ScriptModule) -> int:
    """Compares codes, which must be equal, from one sample to three seconds.

    Returns:
        the number of shapes compared.

    Raises:
        VerificationError: a code differs, or too few codes are in use for equality to prove anything.
    """
    clips = _clips(codec)
    for clip in clips:
        codes = torch.cat([codec.encode(one)[0] for one in clip.split(1)])  # type: ignore[no-untyped-call]
        _require_equal(ENCODEC_ENCODER, clip, codes.to(torch.int32), exported(clip))
    _require_varied(codes, codec.cardinality)
    return len(clips)


@torch.no_grad()
def verify_decoder(codec: EncodecModel, exported: torch.jit.ScriptModule) -> int:
    """Compares waveforms, which must be equal, of encoded audio and of random codes.

    Returns:
        the number of shapes compared.

    Raises:
        VerificationError: a sample differs.
    """
    generator = torch.Generator().manual_seed(0)
    batches = [codec.encode(clip)[0] for clip in _clips(codec)]
    for frames in (1, 2, 3, 17):
        shape = (2, codec.num_codebooks, frames)
        batches.append(torch.randint(0, codec.cardinality, shape, generator=generator))
    for codes in batches:
        _require_equal(ENCODEC_DECODER, codes, codec.decode(codes), exported(codes.to(torch.int32)))
    return len(batches)


@torch.no_grad()
def verify_discriminator(
    name: str, eager: nn.Module, exported: torch.jit.ScriptModule, sample_rate: int, window: int
) -> int:
    """Compares means of logits and features with those of eager's full maps, and a batch with a single window.

    Args:
        name: for messages.
        eager: takes float32 [B, 1, samples], returns lists of logit maps and of lists of feature maps.
        exported: see `WindowDiscriminator.forward`.
        sample_rate: Hz.
        window: samples of the model's windows; slightly longer ones are tried too.

    Returns:
        the number of shapes compared.

    Raises:
        VerificationError: a number differs from eager's, or depends on the batch.
    """
    shapes = [(1, window), (3, window + 1), (2, window + 705), (MICRO_BATCH + 1, window)]
    for batch, samples in shapes:
        windows = varied_audio(sample_rate, batch, 1, samples)
        logits, features = exported(windows)
        eager_logits, eager_features = _full_map_means(eager, windows)
        _require_equal(f"{name} logits", windows, eager_logits, logits)
        _require_equal(f"{name} feature_maps", windows, eager_features, features)
        # Other batch sizes use other kernels, which sum in another order.
        alone_logits, alone_features = exported(windows[-1:])
        _require_close(f"{name} logits, alone and in a batch,", windows, alone_logits, logits[-1:])
        _require_close(f"{name} feature_maps, alone and in a batch,", windows, alone_features, features[-1:])
    return len(shapes)


def varied_audio(sample_rate: int, batch: int, channels: int, samples: int) -> Tensor:
    """Makes sweeping chords and noise bursts, float32 [batch, channels, samples], loud and soft; always the same.

    Unlike plain noise, they use many entries of a trained codec's codebooks, residual ones included.
    """
    generator = torch.Generator().manual_seed(1)
    rows = batch * channels
    time = torch.arange(samples) / sample_rate
    pitches = 55.0 * 2.0 ** (torch.randint(0, 60, (rows, 3, 1), generator=generator) / 12)
    sweep = 1.0 + torch.rand(rows, 3, 1, generator=generator) * time
    chords = torch.sin(2 * torch.pi * pitches * sweep * time).sum(dim=1)
    beats = torch.sin(2 * torch.pi * (1.0 + torch.arange(rows)[:, None]) * time) > 0.8
    noise = torch.randn(rows, samples, generator=generator) * beats
    loudness = 0.1 + torch.rand(rows, 1, generator=generator)
    return (loudness * (0.15 * chords + 0.2 * noise)).view(batch, channels, samples)


def _clips(codec: EncodecModel) -> list[Tensor]:
    """Makes test audio of several lengths and batch sizes, the most varied last."""
    hop = int(codec.encoder.hop_length)
    lengths = [1, 2, hop - 1, hop, hop + 1, 7 * hop - 1, 7 * hop + 1, codec.sample_rate + 13]
    shapes = [(batch, length) for length in lengths if length > 0 for batch in BATCHES]
    shapes += [(1, 3 * codec.sample_rate - 1), (4, 3 * codec.sample_rate + 1)]
    return [varied_audio(codec.sample_rate, batch, codec.channels, length) for batch, length in shapes]


def _full_map_means(eager: nn.Module, windows: Tensor) -> tuple[Tensor, Tensor]:
    logits, features = [], []
    for chunk in windows.split(MICRO_BATCH):  # type: ignore[no-untyped-call]
        logit_maps, feature_maps = eager(chunk)
        logits.append(torch.stack([part.flatten(1).mean(1) for part in logit_maps], dim=1))
        features.append(torch.cat([layer.flatten(2).mean(2) for part in feature_maps for layer in part], dim=1))
    return torch.cat(logits), torch.cat(features)


def _require_varied(codes: Tensor, card: int) -> None:
    needed = min(16, max(2, card // 4))
    for index in range(codes.shape[1]):
        distinct = len(set(codes[:, index].flatten().tolist()))
        if distinct < needed:
            raise VerificationError(
                f"encodec_encoder: {codes.shape[0] * codes.shape[2]} frames of varied audio use only "
                f"{distinct} entries of codebook {index}; with fewer than {needed}, equal codes would prove "
                "nothing: is the codec trained?"
            )


def _require_equal(what: str, given: Tensor, expected: Tensor, got: Tensor) -> None:
    _require_same_form(what, given, expected, got)
    if not torch.equal(expected, got):
        differing = int((expected != got).sum())
        raise VerificationError(
            f"{what}: for input {list(given.shape)}, {differing} of {expected.numel()} values differ from "
            f"eager, by up to {float((expected.double() - got.double()).abs().max()):.3g}"
        )


def _require_close(what: str, given: Tensor, expected: Tensor, got: Tensor) -> None:
    _require_same_form(what, given, expected, got)
    if not torch.allclose(expected, got, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise VerificationError(
            f"{what}: for input {list(given.shape)}, values differ by up to {float((expected - got).abs().max()):.3g}"
        )


def _require_same_form(what: str, given: Tensor, expected: Tensor, got: Tensor) -> None:
    if expected.shape != got.shape or expected.dtype != got.dtype:
        raise VerificationError(
            f"{what}: for input {list(given.shape)}, got {got.dtype} {list(got.shape)}, wanted "
            f"{expected.dtype} {list(expected.shape)}"
        )
