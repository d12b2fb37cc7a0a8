"""The exported codec gives the same codes and samples as audiocraft's for any input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from audiocraft.models.encodec import EncodecModel, InterleaveStereoCompressionModel
from audiocraft.quantization import DummyQuantizer
from small_codecs import small_codec

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.torchscript import archive
from audiocraft_triton.torchscript.codec import CodecDecoder, CodecEncoder
from audiocraft_triton.torchscript.verify import (
    VerificationError,
    varied_audio,
    verify_decoder,
    verify_encoder,
)

VARIANTS: dict[str, dict[str, Any]] = {
    "stereo": {"channels": 2},
    "causal": {"causal": True},
    "causal trimmed on both sides": {"causal": True, "decoder": {"trim_right_ratio": 0.5}},
    "causal with constant padding": {"causal": True, "pad_mode": "constant"},
    "replicate padding": {"pad_mode": "replicate"},
    "convolutional skip": {"true_skip": False},
    "no norm": {"norm": "none"},
    "group norm": {"norm": "time_group_norm"},
    "spectral norm": {"norm": "spectral_norm"},
    "no norm in outer blocks": {"disable_norm_outer_blocks": 2},
    "no LSTM": {"lstm": 0},
    "other activation": {"activation": "LeakyReLU", "activation_params": {"negative_slope": 0.3}},
    "final activation": {"decoder": {"final_activation": "Tanh"}},
    "dilated residual layers": {"n_residual_layers": 3},
    "odd strides": {"ratios": [5, 3, 3]},
}


def exported_encoder(codec: EncodecModel) -> torch.jit.ScriptModule:
    return archive.from_bytes(archive.to_bytes(CodecEncoder(codec)))


def exported_decoder(codec: EncodecModel) -> torch.jit.ScriptModule:
    return archive.from_bytes(archive.to_bytes(CodecDecoder(codec)))


@pytest.mark.parametrize("folder", ["music", "sound"])
def test_codes_and_waveforms_equal_eager_for_any_length_and_batch(demo_checkpoints: Path, folder: str) -> None:
    codec = load_codec(resolve(str(demo_checkpoints / folder)), torch.device("cpu"))
    encoder, decoder = exported_encoder(codec), exported_decoder(codec)
    hop = codec.encoder.hop_length
    with torch.no_grad():
        for batch, length in ((1, 1), (3, 5), (2, hop - 1), (1, hop), (4, hop + 1), (2, 21 * hop + 17)):
            audio = varied_audio(codec.sample_rate, batch, 1, length)
            codes = codec.encode(audio)[0]
            assert encoder(audio).dtype == torch.int32
            assert torch.equal(encoder(audio).to(torch.int64), codes)
            assert torch.equal(decoder(codes.to(torch.int32)), codec.decode(codes))


@pytest.mark.parametrize("threads", [1, 2, 5, 8])
def test_a_clip_has_the_same_codes_at_every_position_of_a_batch(demo_checkpoints: Path, threads: int) -> None:
    """The clip's length is odd, so that each position begins at an address with another alignment."""
    codec = load_codec(resolve(str(demo_checkpoints / "music")), torch.device("cpu"))
    encoder = exported_encoder(codec)
    audio = varied_audio(codec.sample_rate, 1, 1, 21 * codec.encoder.hop_length + 17)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        alone = encoder(audio)
        assert len(alone.unique()) > 1
        assert torch.equal(encoder(audio.repeat(5, 1, 1)), alone.expand(5, -1, -1))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_seanet_option_survives_the_export(variant: str) -> None:
    codec = small_codec(**VARIANTS[variant])
    assert verify_encoder(codec, exported_encoder(codec)) > 0
    assert verify_decoder(codec, exported_decoder(codec)) > 0


def test_only_codebooks_in_use_are_exported() -> None:
    codec = small_codec()
    codec.set_num_codebooks(2)
    audio = varied_audio(codec.sample_rate, 2, 1, 1000)
    assert exported_encoder(codec)(audio).shape == (2, 2, 25)


def test_exporting_changes_neither_the_eager_codec_nor_the_random_state() -> None:
    codec = small_codec()
    audio = varied_audio(codec.sample_rate, 1, 1, 1000)
    before, state = codec.encode(audio)[0], torch.random.get_rng_state()
    archive.to_bytes(CodecEncoder(codec))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(codec.encode(audio)[0], before)
    assert codec.encoder.model[0].conv.conv.weight_v.requires_grad


@pytest.mark.parametrize("code", [-1, 64])
def test_codes_outside_the_codebook_are_refused(code: int) -> None:
    decoder = exported_decoder(small_codec())
    with pytest.raises(torch.jit.Error, match="codes: must be 0 to 63"):
        decoder(torch.tensor([[[0], [code], [0]]], dtype=torch.int32))


def test_too_few_codebooks_are_refused() -> None:
    decoder = exported_decoder(small_codec())
    with pytest.raises(torch.jit.Error, match="must have 3 codebooks, not 2"):
        decoder(torch.zeros(1, 2, 5, dtype=torch.int32))


def test_codecs_that_cannot_be_exported_are_refused_with_the_reason() -> None:
    with pytest.raises(CheckpointError, match="InterleaveStereoCompressionModel"):
        CodecEncoder(InterleaveStereoCompressionModel(small_codec()))
    renormalizing = small_codec()
    renormalizing.renormalize = True
    with pytest.raises(CheckpointError, match="renormalize"):
        CodecDecoder(renormalizing)
    unquantized = small_codec()
    unquantized.quantizer = DummyQuantizer()
    with pytest.raises(CheckpointError, match="DummyQuantizer"):
        CodecEncoder(unquantized)
    projecting = small_codec()
    projecting.quantizer.vq.layers[1].project_in = torch.nn.Linear(16, 16)
    with pytest.raises(CheckpointError, match="projects"):
        CodecEncoder(projecting)
    foreign = small_codec()
    foreign.encoder.model.append(torch.nn.Dropout())
    with pytest.raises(CheckpointError, match="Dropout"):
        CodecEncoder(foreign)


def test_verification_notices_one_changed_codebook_entry_and_names_the_model() -> None:
    codec, changed = small_codec(), small_codec()
    codebook = changed.quantizer.vq.layers[2].codebook
    codebook.data = codebook + 0.3 * torch.randn(codebook.shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(VerificationError, match=r"encodec_encoder: for input \[\d+, 1, \d+\].* differ"):
        verify_encoder(codec, exported_encoder(changed))
    with pytest.raises(VerificationError, match=r"encodec_decoder: for input \[\d+, 3, \d+\].* differ"):
        verify_decoder(codec, exported_decoder(changed))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_verification_notices_a_traced_length() -> None:
    codec = small_codec()
    encoder = CodecEncoder(codec)
    traced = torch.jit.trace(encoder, varied_audio(codec.sample_rate, 1, 1, 400))
    with pytest.raises((VerificationError, RuntimeError)):
        verify_encoder(codec, traced)


def test_verification_refuses_to_prove_equality_with_codes_that_never_change() -> None:
    codec = small_codec()
    codec.quantizer.vq.layers[1].codebook.data.zero_()
    with pytest.raises(VerificationError, match="entries of codebook 1"):
        verify_encoder(codec, exported_encoder(codec))
