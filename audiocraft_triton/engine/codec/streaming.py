"""Decodes EnCodec tokens piece by piece; the joined pieces equal the codec's decoding of the whole clip.

Only the decoder's LSTM has an unbounded memory: its state is carried from piece to piece. All other layers see a few
frames around each sample, so they run unmodified on a window: the new frames with enough context on both sides. The
samples that the window's borders affect are cut away. At the beginning and the end of the clip, the window begins or
ends, too, and the layers' own padding applies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_weight_norm
from torch.nn.utils.weight_norm import WeightNorm

from audiocraft_triton.checkpoints.upstream import (
    CompressionModel,
    EncodecConv1d,
    EncodecLSTM,
    EncodecModel,
    HFEncodecCompressionModel,
    InterleaveStereoCompressionModel,
    StreamableLSTM,
)
from audiocraft_triton.engine.codec.receptive_field import NotStreamable, ReceptiveField


@dataclass(slots=True, eq=False)
class ClipState:
    """State of one clip between two pieces. Only the decoder whose `open` made it can use it."""

    stages: list[Any]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of one clip.

    Attributes:
        clip: state from `StreamingDecoder.open`.
        codes: int64 [codebooks, n], the n >= 0 frames that follow this clip's previous piece.
        last: whether this is the clip's last piece.
    """

    clip: ClipState
    codes: Tensor
    last: bool


class StreamingDecoder:
    """Decodes clips piece by piece, many clips at a time. Not thread-safe.

    Keeps a copy of the codec's decoder with its weight norms folded; the codec itself is not changed.

    Args:
        codec: codec in eval mode. An EnCodec streams unless it has a norm over time: audiocraft's own and
            transformers', mono, stereo or interleaved. Other codecs decode each whole clip alone, at its last piece.
        micro_batch: clips in every run of the layers; a place without a clip repeats one. The same shape runs the same
            kernels, so that a clip's samples are bit-identical whichever other clips are decoded.

    Attributes:
        lookahead: frames after a frame that must be known before that frame's sound is final; 0 for a causal codec,
            None if no sound is final before the clip ends. At a clip's beginning, causal layers that pad by reflection
            look further, into the frames that they mirror, so the first frames' sound waits for those.
    """

    lookahead: int | None

    def __init__(self, codec: CompressionModel, micro_batch: int = 1) -> None:
        self._device = next(codec.parameters()).device
        stereo = isinstance(codec, InterleaveStereoCompressionModel)
        try:
            self._stages = _decoder_stages(codec.model if stereo else codec, 2 if stereo else 1, micro_batch)
        except NotStreamable:
            self._stages = [_WholeClip(codec)]
            self.lookahead = None
            return
        self.lookahead = sum(stage.field.right for stage in self._stages if isinstance(stage, _Windowed))
        if stereo:
            self._stages.insert(0, _SplitChannels(codec))
            steps = int(codec.num_virtual_steps)
            self.lookahead = steps * (self.lookahead + 1) - 1

    def open(self) -> ClipState:
        """Returns the state of a new clip."""
        return ClipState([stage.open() for stage in self._stages])

    @torch.inference_mode()
    def decode(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """Decodes the next piece of some clips.

        Args:
            pieces: at most one piece per clip.

        Returns:
            float32 [channels, samples] for each piece, on the codec's device: the sound that this piece made final,
            possibly 0 samples.

        Raises:
            ValueError: a clip has two pieces, has a piece after its last, or ends between its two channels.
        """
        clips = [piece.clip for piece in pieces]
        if len(set(map(id, clips))) < len(clips):
            raise ValueError("two pieces of one clip: join them, or decode them one after the other")
        if any(clip.ended for clip in clips):
            raise ValueError("a piece of a clip that has had its last one: open another clip")
        flows = [piece.codes.to(self._device)[None] for piece in pieces]
        lasts = [piece.last for piece in pieces]
        for index, stage in enumerate(self._stages):
            flows = stage.feed([clip.stages[index] for clip in clips], flows, lasts)
        for piece in pieces:
            piece.clip.ended = piece.last
        return [flow.flatten(0, 1).float() for flow in flows]


@dataclass(slots=True, eq=False)
class _History:
    """The part of one clip's input that a stage still needs.

    Attributes:
        kept: the latest input, [rows, channels, time].
        known: length of the input since the clip began.
        done: length of the input whose output has been passed on.
    """

    kept: Tensor | None = None
    known: int = 0
    done: int = 0

    def add(self, new: Tensor) -> None:
        # Always a copy, because the caller may write its next codes to the same memory.
        self.kept = torch.cat([new] if self.kept is None else [self.kept, new], dim=-1)
        self.known += new.shape[-1]

    def since(self, first: int) -> Tensor:
        """Returns the input from position `first` on."""
        assert self.kept is not None
        return self.kept[..., first - self.known + self.kept.shape[-1] :]


class _Stage:
    """A part of the decoder. Its input is [rows, channels, time] per clip; interleaved stereo has two rows, which are
    decoded separately, and everything else has one."""

    def open(self) -> Any:
        """Returns the stage's memory of a clip that has not begun."""
        return _History()

    def feed(self, clips: list[Any], news: list[Tensor], lasts: list[bool]) -> list[Tensor]:
        """Adds each clip's new input to its memory and returns the output that is final now."""
        raise NotImplementedError


def _decoder_stages(codec: CompressionModel, rows: int, micro_batch: int) -> list[_Stage]:
    """Returns the stages from codes, int64 [rows, codebooks, n], to sound, [rows, channels, samples]."""
    if isinstance(codec, EncodecModel):
        layers = list(_folded_copy(codec.decoder).model)
    elif isinstance(codec, HFEncodecCompressionModel):
        layers = list(_folded_copy(codec.model.decoder).layers)
    else:
        raise NotStreamable(type(codec).__name__)
    recurrent = [index for index, layer in enumerate(layers) if isinstance(layer, (StreamableLSTM, EncodecLSTM))]
    stages: list[_Stage] = []
    # The first window holds codes: looking up its context again is cheaper than keeping latents.
    read: Callable[[Tensor], Tensor] | None = codec.decode_latent
    for before, index in pairwise([-1, *recurrent, len(layers)]):
        stages.append(_Windowed(read, layers[before + 1 : index], rows, micro_batch))
        if index < len(layers):
            stages.append(_Recurrent(layers[index], rows, micro_batch))
        read = None
    return stages


@torch.no_grad()
def _folded_copy(decoder: nn.Module) -> Any:
    """Returns a copy without weight norms, which would recompute every weight in each run."""
    # A weight that a norm computed may still belong to an autograd graph and can't be copied: detach it for the copy.
    computed = [vars(layer)["weight"] for layer in decoder.modules() if "weight" in vars(layer)]
    folded = copy.deepcopy(decoder, {id(weight): weight.detach().clone() for weight in computed})
    layer: Any
    for layer in list(folded.modules()):
        if any(isinstance(hook, WeightNorm) for hook in layer._forward_pre_hooks.values()):
            remove_weight_norm(layer)
        elif parametrize.is_parametrized(layer, "weight"):
            # torch's own removal would change the class, which copy and original share: give the copy the plain class.
            weight = layer.weight.detach()
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            del layer.parametrizations
            layer.weight = nn.Parameter(weight, requires_grad=False)
        elif isinstance(layer, nn.LSTM):
            layer.flatten_parameters()
        elif isinstance(layer, EncodecConv1d):
            # These sizes are tensors: on a GPU, each read of one would wait for all the work before it.
            for size in ("stride", "kernel_size", "padding_total"):
                setattr(layer, size, getattr(layer, size).cpu())
    return folded


class _Windowed(_Stage):
    """Layers with a finite receptive field, after `read`, which converts each frame independently."""

    def __init__(
        self, read: Callable[[Tensor], Tensor] | None, layers: Sequence[nn.Module], rows: int, micro_batch: int
    ) -> None:
        self.field = ReceptiveField(layers)
        self._run: list[Callable[[Tensor], Tensor]] = [read, *layers] if read else [*layers]
        self._rows, self._micro_batch = rows, micro_batch
        self._like = next(nn.ModuleList(layers).parameters())

    def feed(self, clips: list[_History], news: list[Tensor], lasts: list[bool]) -> list[Tensor]:
        field = self.field
        results = [self._like.new_empty(self._rows, field.channels, 0) for _ in clips]
        windows: dict[int, tuple[Tensor, ...]] = {}
        cuts: dict[int, slice] = {}
        for index, (clip, new, last) in enumerate(zip(clips, news, lasts, strict=True)):
            clip.add(new)
            final = clip.known if last else field.final(clip.known)
            if final > clip.done:
                first = field.first(clip.done)
                windows[index] = (clip.since(first),)
                cuts[index] = slice((clip.done - first) * field.rate, (final - first) * field.rate)
                clip.done = final
            clip.kept = clip.since(field.first(clip.done))
        for index, (output,) in _in_micro_batches(self._forward, windows, self._micro_batch):
            results[index] = output[..., cuts[index]]
        return results

    def _forward(self, window: Tensor) -> tuple[Tensor, ...]:
        for layer in self._run:
            window = layer(window)
        return (window,)


class _Recurrent(_Stage):
    """The LSTM. Its memory of a clip is the hidden and the cell state, each [rows, layers, channels]."""

    def __init__(self, module: Any, rows: int, micro_batch: int) -> None:
        self._lstm = module.lstm
        self._skip: bool = getattr(module, "skip", True)  # transformers' always has it
        self._rows, self._micro_batch = rows, micro_batch

    def open(self) -> list[Tensor]:
        lstm = self._lstm
        return [lstm.weight_hh_l0.new_zeros(self._rows, lstm.num_layers, lstm.hidden_size) for _ in range(2)]

    def feed(self, clips: list[list[Tensor]], news: list[Tensor], _lasts: list[bool]) -> list[Tensor]:
        results = list(news)
        inputs = {index: (new, *clips[index]) for index, new in enumerate(news) if new.shape[-1]}
        for index, (output, *state) in _in_micro_batches(self._forward, inputs, self._micro_batch):
            results[index] = output
            clips[index][:] = state
        return results

    def _forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        sequence = inputs.permute(2, 0, 1)
        state = hidden.transpose(0, 1).contiguous(), cell.transpose(0, 1).contiguous()
        output, (hidden, cell) = self._lstm(sequence, state)
        if self._skip:
            output = output + sequence
        return output.permute(1, 2, 0), hidden.transpose(0, 1), cell.transpose(0, 1)


class _SplitChannels(_Stage):
    """Splits interleaved stereo codes [1, codebooks, n] into the left and the right channel's, in two rows."""

    def __init__(self, codec: InterleaveStereoCompressionModel) -> None:
        self._codec = codec

    def feed(self, clips: list[_History], news: list[Tensor], lasts: list[bool]) -> list[Tensor]:
        steps = int(self._codec.num_virtual_steps)
        # Checked before any clip's memory changes, so that the other clips can continue.
        if any(
            last and (clip.known + new.shape[-1]) % steps for clip, new, last in zip(clips, news, lasts, strict=True)
        ):
            raise ValueError("a clip ends between the left and the right channel's codes: give both")
        results = []
        for clip, new in zip(clips, news, strict=True):
            clip.add(new)
            ready = clip.known // steps * steps
            codes = clip.since(clip.done)[..., : ready - clip.done]
            results.append(torch.cat(self._codec.get_left_right_codes(codes)))
            clip.done, clip.kept = ready, clip.since(ready)
        return results


class _WholeClip(_Stage):
    """Any codec: keeps a clip's codes and decodes them when they are complete."""

    def __init__(self, codec: CompressionModel) -> None:
        self._codec = codec

    def feed(self, clips: list[_History], news: list[Tensor], lasts: list[bool]) -> list[Tensor]:
        results = []
        for clip, new, last in zip(clips, news, lasts, strict=True):
            clip.add(new)
            complete = last and clip.known > 0
            silence = torch.empty(1, self._codec.channels, 0, device=new.device)
            results.append(self._codec.decode(clip.kept) if complete else silence)
        return results


def _in_micro_batches(
    forward: Callable[..., tuple[Tensor, ...]], inputs: Mapping[int, tuple[Tensor, ...]], micro_batch: int
) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Runs `forward` on exactly `micro_batch` clips of one shape at a time; yields each clip's key and outputs."""
    groups: dict[torch.Size, list[int]] = {}
    for index, tensors in inputs.items():
        groups.setdefault(tensors[0].shape, []).append(index)
    for shape, members in groups.items():
        for start in range(0, len(members), micro_batch):
            chosen = members[start : start + micro_batch]
            filled = chosen + chosen[-1:] * (micro_batch - len(chosen))
            outputs = forward(*map(torch.cat, zip(*(inputs[index] for index in filled), strict=True)))
            of_clips = zip(*(torch.split(output, shape[0]) for output in outputs), strict=True)
            yield from zip(chosen, of_clips, strict=False)
