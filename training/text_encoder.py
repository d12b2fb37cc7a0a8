"""A small T5 encoder: its vocabulary is learned from a dataset's captions, its weights are trained with the LM."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2

from training.upstream import T5Config, T5EncoderModel, T5Tokenizer

_TIED_WEIGHTS = "encoder.embed_tokens.weight"  # the same as `shared.weight`
# Every typed character gets a token that can be trained; capital letters equal small ones.
_CAPITALS = range(ord("A"), ord("Z") + 1)
_PRINTABLE = "".join(chr(code) for code in range(33, 127) if code not in _CAPITALS)


@dataclass(frozen=True, slots=True)
class TextEncoderSizes:
    """The sizes of a T5 encoder.

    Attributes:
        width: of the encoder's vectors.
        vocabulary: maximum number of pieces; captions with little variety have fewer.
    """

    width: int
    layers: int
    heads: int
    head_width: int
    feed_forward: int
    vocabulary: int = 600


def train_tokenizer(captions: Iterable[str], vocabulary: int) -> T5Tokenizer:
    """Fits a unigram vocabulary (arXiv:1804.10959) to captions; the same captions always give the same vocabulary.

    Args:
        captions: in any order; a repeated caption weighs more.
        vocabulary: maximum number of pieces.

    Returns:
        A tokenizer that ignores the case of ASCII letters and knows every printable ASCII character.
    """
    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:
        folding = Path(scratch) / "case.tsv"
        folding.write_text("".join(f"{code:X}\t{ord(chr(code).lower()):X}\n" for code in _CAPITALS))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sorted(captions)), model_writer=written, model_type="unigram",
            vocab_size=vocabulary, hard_vocab_limit=False, character_coverage=1.0, required_chars=_PRINTABLE,
            normalization_rule_tsv=str(folding), pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
            num_threads=1, minloglevel=2,
        )  # fmt: skip
    model = sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    return T5Tokenizer(vocab=pieces, extra_ids=0, _spm_precompiled_charsmap=model.normalizer_spec.precompiled_charsmap)


def text_encoder_config(sizes: TextEncoderSizes, pieces: int, dropout: float = 0.0) -> T5Config:
    """Returns the config of an encoder for `pieces` vocabulary entries; dropout matters only in training."""
    return T5Config(
        vocab_size=pieces, d_model=sizes.width, d_kv=sizes.head_width, d_ff=sizes.feed_forward,
        num_layers=sizes.layers, num_heads=sizes.heads,
        dropout_rate=dropout, is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip


def write_text_encoder(
    folder: Path, tokenizer: T5Tokenizer, config: T5Config, state: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Writes tokenizer and encoder as `transformers` does, in float32; without a state the encoder is untrained."""
    tokenizer.save_pretrained(folder)
    encoder = T5EncoderModel(config)
    if state is not None:
        encoder.load_state_dict(state)
    # The same files as from the encoder's own save_pretrained, which writes only in the first of several processes.
    encoder.config.architectures = [T5EncoderModel.__name__]
    encoder.config.save_pretrained(folder)
    weights = {name: value for name, value in encoder.state_dict().items() if name != _TIED_WEIGHTS}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
