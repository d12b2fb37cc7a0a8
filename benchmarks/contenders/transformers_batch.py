"""transformers' MusicgenForConditionalGeneration of the same sizes: all requests in one batch, EnCodec included.

It has its own random weights instead of the checkpoint's, because speed does not depend on their values.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import torch

from benchmarks.contenders.contender import (
    Clips,
    Job,
    finish,
    precision,
)
from benchmarks.upstream import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    T5Tokenizer,
    logging,
)
from training.architecture import CODEBOOKS, FRAME_RATE, MUSIC, TEXT_ENCODER_FOLDER


@contextmanager
def opened(job: Job) -> Iterator[TransformersBatch]:
    """Builds the model directly on the device, because billions of weights would take minutes on a CPU."""
    logging.set_verbosity_error()  # it warns about its own token for silence, which is one past the codebook
    torch.manual_seed(job.seed)
    with torch.device(job.device):
        model = MusicgenForConditionalGeneration(_config(job))
    yield TransformersBatch(model.to(getattr(torch, precision(job))).eval(), job)


class TransformersBatch:
    """See `Contender`."""

    def __init__(self, model: MusicgenForConditionalGeneration, job: Job) -> None:
        self._model = model
        self._job = job
        self._tokenizer = T5Tokenizer.from_pretrained(job.checkpoint / TEXT_ENCODER_FOLDER)
        self.versions = {"transformers": version("transformers")}

    @property
    def description(self) -> str:
        return (
            f"transformers {self.versions['transformers']}, {precision(self._job)}, "
            "MusicgenForConditionalGeneration with all requests in one batch; random weights of its own, on which "
            "speed does not depend"
        )

    def generate(self, requests: int, seconds: float) -> Clips:
        # The last codebook ends this many steps after the first.
        steps = round(seconds * FRAME_RATE) + CODEBOOKS - 1
        torch.manual_seed(self._job.seed)
        finish(self._job.device)
        start = time.perf_counter()
        inputs = self._tokenizer(self._job.prompts(requests), padding=True, return_tensors="pt").to(self._job.device)
        with torch.inference_mode():
            sound = self._model.generate(**inputs, do_sample=True, top_k=250, guidance_scale=3.0, max_new_tokens=steps)
        sound = sound.float().cpu()
        wall = time.perf_counter() - start
        return Clips([clip[0] for clip in sound.numpy()], MUSIC.sample_rate, wall, wall / (seconds * FRAME_RATE))


def _config(job: Job) -> MusicgenConfig:
    shape = job.shape
    decoder = MusicgenDecoderConfig(
        vocab_size=shape.card, hidden_size=shape.dim, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, ffn_dim=4 * shape.dim, num_codebooks=CODEBOOKS, audio_channels=1,
        pad_token_id=shape.card, bos_token_id=shape.card,
    )  # fmt: skip
    codec = EncodecConfig(
        sampling_rate=MUSIC.sample_rate, num_filters=shape.codec_filters, upsampling_ratios=list(MUSIC.ratios),
        hidden_size=shape.latent, codebook_dim=shape.latent, codebook_size=shape.card, use_causal_conv=False,
        use_conv_shortcut=False, target_bandwidths=[CODEBOOKS * FRAME_RATE * math.log2(shape.card) / 1000],
    )  # fmt: skip
    text_encoder = T5Config.from_pretrained(job.checkpoint / TEXT_ENCODER_FOLDER)
    return MusicgenConfig(text_encoder=text_encoder, audio_encoder=codec, decoder=decoder)
