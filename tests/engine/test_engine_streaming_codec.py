"""Sound decoded piece by piece equals that of the whole clip, for any pieces and any other clips in the batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from audiocraft.models.encodec import (
    CompressionModel,
    EncodecModel,
    HFEncodecCompressionModel,
    InterleaveStereoCompressionModel,
)
from audiocraft.modules.seanet import SEANetDecoder, SEANetEncoder
from audiocraft.quantization import ResidualVectorQuantizer
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.engine.codec.streaming import Piece, StreamingDecoder

HOP = 40
BINS = 64
TOLERANCE = 1e-5  # relative to the sound's peak; the measured differences are of the order of 1e-7


def seanet(
    *,
    channels: int = 1,
    causal: bool = False,
    renormalize: bool = False,
    decoder: dict[str, Any] | None = None,
    **options: Any,
) -> EncodecModel:
    """Makes audiocraft's EnCodec with 3 random codebooks; `options` are arguments of the encoder and the decoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        sizes = {"channels": channels, "dimension": 16, "n_filters": 4, "n_residual_layers": 1, "lstm": 1}
        arguments = {**sizes, "ratios": [5, 4, 2], "norm": "weight_norm", "causal": causal, **options}
        codec = EncodecModel(
            SEANetEncoder(**arguments), SEANetDecoder(**arguments, **(decoder or {})),
            ResidualVectorQuantizer(dimension=16, n_q=3, bins=BINS), sample_rate=8000,
            frame_rate=8000 / math.prod(arguments["ratios"]), channels=channels, causal=causal, renormalize=renormalize,
        )  # fmt: skip
        return lively(codec)


def transformers_encodec(**options: Any) -> HFEncodecCompressionModel:
    """Makes transformers' EnCodec with random codebooks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        config = transformers.EncodecConfig(
            sampling_rate=8000, target_bandwidths=[6.0], upsampling_ratios=[5, 4, 2], num_filters=4, hidden_size=16,
            codebook_size=1024, codebook_dim=16, **{"use_causal_conv": False, "num_lstm_layers": 2, **options},
        )  # fmt: skip
        return lively(HFEncodecCompressionModel(transformers.EncodecModel(config)))


@torch.no_grad()
def lively(codec: Any) -> Any:
    """Makes every code of the codebooks sound different, and the LSTMs remember for dozens of frames."""
    for module in codec.modules():
        if hasattr(module, "embed"):
            module.embed.normal_()
        if isinstance(module, torch.nn.LSTM):
            for layer in range(module.num_layers):
                getattr(module, f"bias_hh_l{layer}")[module.hidden_size : 2 * module.hidden_size] = 4
    return codec.eval()


def interleaved(per_timestep: bool) -> InterleaveStereoCompressionModel:
    return InterleaveStereoCompressionModel(seanet(), per_timestep=per_timestep)


CODECS = {
    "not causal": seanet,
    "causal": lambda: seanet(causal=True),
    "no LSTM": lambda: seanet(lstm=0),
    "causal without LSTM": lambda: seanet(lstm=0, causal=True),
    "two LSTM layers": lambda: seanet(lstm=2),
    "causal with two LSTM layers": lambda: seanet(lstm=2, causal=True),
    "dilated residual layers": lambda: seanet(n_residual_layers=3, lstm=0),
    "causal dilated residual layers": lambda: seanet(n_residual_layers=3, causal=True),
    "causal trimmed on both sides": lambda: seanet(causal=True, decoder={"trim_right_ratio": 0.5}),
    "causal with constant padding": lambda: seanet(causal=True, pad_mode="constant"),
    "replicate padding": lambda: seanet(pad_mode="replicate"),
    "convolutional skip": lambda: seanet(true_skip=False),
    "spectral norm": lambda: seanet(norm="spectral_norm"),
    "no norm": lambda: seanet(norm="none"),
    "even kernels": lambda: seanet(kernel_size=6, last_kernel_size=4, residual_kernel_size=4),
    "odd strides": lambda: seanet(ratios=[5, 3, 3]),
    "final activation": lambda: seanet(decoder={"final_activation": "Tanh"}),
    "renormalizing": lambda: seanet(renormalize=True),
    "stereo": lambda: seanet(channels=2),
    "interleaved codebooks": lambda: interleaved(False),
    "interleaved timesteps": lambda: interleaved(True),
    "transformers": transformers_encodec,
    "transformers, causal": lambda: transformers_encodec(use_causal_conv=True),
    "transformers, causal, trimmed": lambda: transformers_encodec(use_causal_conv=True, trim_right_ratio=0.5),
    "transformers, stereo": lambda: transformers_encodec(audio_channels=2, num_lstm_layers=1),
}


@cache
def codec_of(name: str) -> CompressionModel:
    return CODECS[name]()


@cache
def decoder_of(name: str, micro_batch: int = 1) -> StreamingDecoder:
    return StreamingDecoder(codec_of(name), micro_batch)


def codes_for(codec: CompressionModel, frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, codec.cardinality, (codec.num_codebooks, frames), generator=generator)


def offline(codec: CompressionModel, codes: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return codec.decode(codes[None])[0]


def streamed(decoder: StreamingDecoder, codes: torch.Tensor, sizes: Sequence[int]) -> list[torch.Tensor]:
    """Returns the sounds of a clip that is decoded in pieces of these sizes."""
    assert sum(sizes) == codes.shape[1]
    clip = decoder.open()
    pieces = codes.split(list(sizes), dim=1)
    return [
        decoder.decode([Piece(clip, piece, index == len(pieces) - 1)])[0] for index, piece in enumerate(pieces)
    ]  # fmt: skip


def assert_same_sound(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert got.dtype == torch.float32
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


def in_pieces_of(size: int, frames: int) -> list[int]:
    return [size] * (frames // size) + [frames % size]


@pytest.mark.parametrize("name", CODECS)
def test_joined_pieces_equal_the_whole_clip(name: str) -> None:
    codec, decoder = codec_of(name), decoder_of(name)
    for frames in (2, 4, 6, 14, 40) if name == "interleaved timesteps" else (1, 2, 3, 4, 5, 8, 13, 40):
        codes = codes_for(codec, frames, seed=frames)
        wanted = offline(codec, codes)
        for sizes in ([frames], [0, frames, 0], [1] * frames, [1] * frames + [0], in_pieces_of(7, frames)):
            assert_same_sound(torch.cat(streamed(decoder, codes, sizes), dim=1), wanted)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(["not causal", "causal dilated residual layers", "interleaved timesteps", "transformers"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any),
)  # fmt: skip
def test_pieces_may_be_cut_anywhere(name: str, sizes: list[int]) -> None:
    sizes = [*sizes, sum(sizes) % 2] if name == "interleaved timesteps" else sizes
    codec = codec_of(name)
    codes = codes_for(codec, sum(sizes))
    assert_same_sound(torch.cat(streamed(decoder_of(name), codes, sizes), dim=1), offline(codec, codes))


@pytest.mark.parametrize("folder", ["music", "sound"])
def test_the_demo_codecs_stream(demo_checkpoints: Path, folder: str) -> None:
    codec = load_codec(resolve(str(demo_checkpoints / folder)), torch.device("cpu"))
    codes = codes_for(codec, 110)
    sounds = streamed(StreamingDecoder(codec), codes, in_pieces_of(25, 110))
    assert_same_sound(torch.cat(sounds, dim=1), offline(codec, codes))
    assert all(sound.shape[1] for sound in sounds)


@pytest.mark.parametrize("name", ["not causal", "two LSTM layers", "causal", "transformers", "interleaved codebooks"])
def test_a_piece_depends_on_frames_of_much_earlier_pieces(name: str) -> None:
    codec = codec_of(name)
    codes = codes_for(codec, 60)
    other = codes.clone()
    other[:, :3] = (other[:, :3] + 1) % BINS
    wanted, forgetful = offline(codec, codes)[:, 40 * HOP :], offline(codec, other)[:, 40 * HOP :]
    assert (wanted - forgetful).abs().max() > 100 * TOLERANCE * wanted.abs().max()
    assert_same_sound(torch.cat(streamed(decoder_of(name), codes, [5] * 12), dim=1)[:, 40 * HOP :], wanted)


@pytest.mark.parametrize("name", [name for name in CODECS if name != "interleaved timesteps"])
def test_lookahead_is_as_short_as_the_layers_allow(name: str) -> None:
    codec, decoder = codec_of(name), decoder_of(name)
    hop = round(codec.sample_rate / codec.frame_rate)
    assert decoder.lookahead is not None
    frame = 30
    codes = codes_for(codec, 60)
    clip = decoder.open()
    known = frame + 1 + decoder.lookahead
    assert decoder.decode([Piece(clip, codes[:, :known], False)])[0].shape[1] == (frame + 1) * hop
    needed, beyond = codes.clone(), codes.clone()
    needed[:, known - 1] = (needed[:, known - 1] + 1) % BINS
    beyond[:, known:] = (beyond[:, known:] + 1) % BINS
    sound = offline(codec, codes)[:, frame * hop : (frame + 1) * hop]
    assert not torch.equal(offline(codec, needed)[:, frame * hop : (frame + 1) * hop], sound)
    assert torch.equal(offline(codec, beyond)[:, frame * hop : (frame + 1) * hop], sound)


@pytest.mark.parametrize(
    ("name", "lookahead"),
    [("not causal", 5), ("causal", 0), ("causal trimmed on both sides", 1), ("transformers, causal", 0),
     ("interleaved codebooks", 5), ("interleaved timesteps", 11)],
)  # fmt: skip
def test_lookahead_follows_from_the_layers(name: str, lookahead: int) -> None:
    assert decoder_of(name).lookahead == lookahead


def test_a_causal_clip_sounds_at_once_except_for_the_frames_that_its_beginning_mirrors() -> None:
    codec = codec_of("causal")
    per_frame = [sound.shape[1] // HOP for sound in streamed(decoder_of("causal"), codes_for(codec, 12), [1] * 12)]
    assert per_frame == [0] * 6 + [7] + [1] * 5
    without = StreamingDecoder(codec_of("causal with constant padding"))
    assert [sound.shape[1] for sound in streamed(without, codes_for(codec, 4), [1] * 4)] == [HOP] * 4


@pytest.mark.parametrize("micro_batch", [1, 4])
@pytest.mark.parametrize("name", ["not causal", "causal", "stereo", "interleaved timesteps", "transformers"])
def test_other_clips_do_not_change_a_clip(name: str, micro_batch: int) -> None:
    codec, decoder = codec_of(name), decoder_of(name, micro_batch)
    lengths = [50, 50, 30, 50, 44, 50, 50]
    clips = [codes_for(codec, frames, seed) for seed, frames in enumerate(lengths)]
    alone = [torch.cat(streamed(decoder, codes, in_pieces_of(10, codes.shape[1])), dim=1) for codes in clips]
    for codes, sound in zip(clips, alone, strict=True):
        assert_same_sound(sound, offline(codec, codes))

    # Clips enter one after the other, so that at each step some begin and some end, in changing places.
    states = [decoder.open() for _ in clips]
    together: list[list[torch.Tensor]] = [[] for _ in clips]
    pieces = [codes.split(in_pieces_of(10, codes.shape[1]), dim=1) for codes in clips]
    for step in range(20):
        running = [index for index in range(len(clips)) if 0 <= step - index // 2 < len(pieces[index])]
        running = running[step % 3 :] + running[: step % 3]
        batch = [
            Piece(states[index], pieces[index][step - index // 2], step - index // 2 == len(pieces[index]) - 1)
            for index in running
        ]
        for index, sound in zip(running, decoder.decode(batch), strict=True):
            together[index].append(sound)
    for sounds, sound in zip(together, alone, strict=True):
        assert torch.equal(torch.cat(sounds, dim=1), sound)


def test_every_run_of_the_layers_has_the_same_number_of_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codec_of("two LSTM layers")
    decoder = StreamingDecoder(codec, micro_batch=4)
    seen: list[int] = []
    forward = torch.nn.Module.__call__

    def watched(module: torch.nn.Module, *arguments: Any) -> Any:
        if isinstance(module, torch.nn.LSTM):
            seen.append(arguments[0].shape[1])
        elif isinstance(module, torch.nn.Conv1d):
            seen.append(arguments[0].shape[0])
        return forward(module, *arguments)

    monkeypatch.setattr(torch.nn.Module, "__call__", watched)
    decoder.decode([Piece(decoder.open(), codes_for(codec, 12, seed), True) for seed in range(6)])
    assert len(seen) > 10
    assert set(seen) == {4}


@pytest.mark.parametrize("name", ["not causal", "transformers", "interleaved codebooks"])
def test_the_codec_is_not_changed(name: str) -> None:
    codec = CODECS[name]()
    for parameter in codec.parameters():
        parameter.requires_grad_(True)
    before = copy.deepcopy({key: value.detach() for key, value in codec.state_dict().items()})
    codes = codes_for(codec, 20)
    # With gradients, so that the weights that the norms computed belong to a graph.
    wanted = codec.decode(codes[None]).detach()[0]
    assert_same_sound(torch.cat(streamed(StreamingDecoder(codec), codes, [9, 11]), dim=1), wanted)
    after = codec.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert all(parameter.requires_grad for parameter in codec.parameters())
    assert torch.equal(codec.decode(codes[None])[0], wanted)


def test_the_callers_memory_of_codes_may_be_reused() -> None:
    codec, decoder = codec_of("not causal"), decoder_of("not causal")
    codes = codes_for(codec, 30)
    buffer, clip, sounds = torch.empty(codec.num_codebooks, 10, dtype=torch.int64), decoder.open(), []
    for start in (0, 10, 20):
        buffer.copy_(codes[:, start : start + 10])
        sounds += decoder.decode([Piece(clip, buffer, start == 20)])
    assert_same_sound(torch.cat(sounds, dim=1), offline(codec, codes))


@pytest.mark.parametrize(
    "build",
    [
        lambda: seanet(norm="time_group_norm"),
        lambda: transformers_encodec(norm_type="time_group_norm"),
        lambda: InterleaveStereoCompressionModel(seanet(norm="time_group_norm"), per_timestep=True),
        lambda: seanet(decoder={"final_activation": "Softmax", "final_activation_params": {"dim": -1}}),
        lambda: seanet(pad_mode="circular"),
    ],
    ids=["group norm", "transformers, group norm", "interleaved, group norm", "unknown activation", "circular padding"],
)
def test_a_codec_that_sees_the_whole_clip_decodes_at_its_end(build: Any) -> None:
    codec = build()
    decoder = StreamingDecoder(codec, micro_batch=4)
    assert decoder.lookahead is None
    codes = codes_for(codec, 40)
    sounds = streamed(decoder, codes, [10, 10, 19, 1])
    assert [sound.shape for sound in sounds[:-1]] == [(codec.channels, 0)] * 3
    assert torch.equal(sounds[-1], offline(codec, codes))


@pytest.mark.parametrize("name", ["not causal", "stereo", "interleaved codebooks", "transformers"])
def test_a_clip_without_frames_is_silent(name: str) -> None:
    codec = codec_of(name)
    assert streamed(decoder_of(name), codes_for(codec, 0), [0, 0])[-1].shape == (codec.channels, 0)
    whole = StreamingDecoder(seanet(norm="time_group_norm"))
    assert streamed(whole, codes_for(codec, 0)[:3], [0])[0].shape == (1, 0)


def test_pieces_that_cannot_be_joined_are_refused() -> None:
    codec, decoder = codec_of("interleaved timesteps"), decoder_of("interleaved timesteps")
    clip, other, codes = decoder.open(), decoder.open(), codes_for(codec, 20)
    with pytest.raises(ValueError, match="two pieces of one clip"):
        decoder.decode([Piece(clip, codes[:, :8], False), Piece(clip, codes[:, 8:], True)])
    with pytest.raises(ValueError, match="between the left and the right"):
        decoder.decode([Piece(other, codes[:, :8], False), Piece(clip, codes[:, :7], True)])
    # The refused pieces have no effect.
    sounds = [
        decoder.decode([Piece(other, codes[:, :8], False)])[0],
        decoder.decode([Piece(other, codes[:, 8:], True)])[0],
    ]
    assert_same_sound(torch.cat(sounds, dim=1), offline(codec, codes))
    with pytest.raises(ValueError, match="had its last one"):
        decoder.decode([Piece(other, codes, True)])
