"""Small checkpoints of the real architectures with seeded random weights, in audiocraft's own file layout.

They let every test run the code path of `facebook/musicgen-small`: delay pattern, 4 codebooks, cross-attention on a T5,
SEANet with LSTM and residual quantizer, 2 diffusion bands. They generate rhythmic noise, not music. Only the sizes
differ from upstream's configs; a `Shape` holds them. Training starts from the same configs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DIFFUSION_FILE,
    DISCRIMINATORS_FILE,
    LM_FILE,
)
from audiocraft_triton.checkpoints.upstream import EncodecModel, builders
from audiocraft_triton.scoring.discriminators import DiscriminatorSet
from training.architecture import (
    CODEBOOKS,
    DEMO,
    FRAME_RATE,
    MUSIC,
    SOUND,
    TEXT_ENCODER_FOLDER,
    Kind,
    Shape,
    codec_config,
    initial_lm_state,
    lm_config,
    save,
)
from training.initialization import make_responsive
from training.upstream import T5Config, T5EncoderModel, T5Tokenizer

_VOCABULARY = """
a an the of and with in on at for to slow fast calm energetic happy sad dark bright soft loud deep warm
solo piano guitar drums bass strings violin flute organ synth choir orchestra band beat melody chords rhythm
rock jazz blues folk pop techno house ambient classical waltz march lullaby funk reggae swing
major minor key tempo bpm distorted acoustic electric
rain wind thunder water sea fire birds dog cat engine car siren alarm bell footsteps door glass crowd
""".split()  # noqa: SIM905


def make_seeded_checkpoints(directory: Path, report: Callable[[str], None] = print) -> None:
    """Writes the music and the sound checkpoint below `directory`, with the same bytes of weights every time."""
    for kind in (MUSIC, SOUND):
        folder = directory / kind.folder
        folder.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(kind.seed)
            write_text_encoder(folder / TEXT_ENCODER_FOLDER, DEMO)
            codec, config = _make_codec(kind)
            save(folder / CODEC_FILE, codec.state_dict(), config)
            _write_lm(folder, kind)
            if kind is MUSIC:
                _write_diffusion(folder / DIFFUSION_FILE, kind)
                _write_discriminators(folder / DISCRIMINATORS_FILE, kind)
        report(f"{kind.folder} checkpoint written to {folder}")


def write_text_encoder(folder: Path, shape: Shape) -> None:
    """Writes an untrained T5 encoder, and a tokenizer with common words for music and sound."""
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    words = [(f"▁{word}", -5.0) for word in dict.fromkeys(_VOCABULARY)]
    characters = [(chr(code), -10.0) for code in range(33, 127)]
    pieces = specials + words + [piece for piece in characters if piece not in words]
    T5Tokenizer(vocab=pieces, extra_ids=0).save_pretrained(folder)
    config = T5Config(
        vocab_size=len(pieces), d_model=shape.text_width, d_kv=shape.text_head_width, d_ff=shape.text_feed_forward,
        num_layers=shape.text_layers, num_heads=shape.text_heads,
        dropout_rate=0.0, is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    T5EncoderModel(config).save_pretrained(folder)


def _make_codec(kind: Kind) -> tuple[EncodecModel, DictConfig]:
    config = codec_config(kind, DEMO)
    codec = builders.get_compression_model(config).eval()
    make_responsive(codec)
    # k-means on the residuals of real latents, because random codebooks would give every clip the same few codes.
    latents = codec.encoder(_practice_sounds(kind.sample_rate))
    quantized = codec.quantizer(latents, FRAME_RATE)
    _scale_last_layer(codec, 0.1 / float(codec.decoder(quantized.x).std()))
    return codec, config


def _practice_sounds(sample_rate: int) -> torch.Tensor:
    """Returns chirps, chords and noise bursts, [8, 1, 4 s], for fitting the codebooks."""
    time = torch.arange(4 * sample_rate) / sample_rate
    pitches = 55.0 * 2.0 ** (torch.randint(0, 60, (8, 3, 1)) / 12)
    sweep = 1.0 + torch.rand(8, 3, 1) * time
    chords = torch.sin(2 * torch.pi * pitches * sweep * time).sum(dim=1)
    beats = (torch.sin(2 * torch.pi * (1 + torch.arange(8.0)[:, None]) * time) > 0.8).float()
    noise = torch.randn(8, len(time)) * beats
    return ((0.15 * chords + 0.2 * noise) * (0.3 + torch.rand(8, 1)))[:, None]


def _scale_last_layer(codec: EncodecModel, factor: float) -> None:
    """Makes the untrained decoder audible by scaling its output linearly."""
    convolution = codec.decoder.model[-1].conv.conv
    convolution.weight_g.mul_(factor)
    convolution.bias.mul_(factor)


def _write_lm(folder: Path, kind: Kind) -> None:
    config = lm_config(kind, DEMO)
    state = initial_lm_state(config, DEMO)
    # Untrained logits are nearly flat; scaled heads make prompts, seeds and guidance matter.
    for index in range(CODEBOOKS):
        state[f"linears.{index}.weight"] *= 3.0
    save(folder / LM_FILE, state, config)


def _write_diffusion(path: Path, kind: Kind) -> None:
    package: dict[Any, Any] = {"sample_rate": kind.sample_rate, "n_bands": 2}
    for index in range(2):
        config = OmegaConf.create(
            {
                "channels": 1,
                "schedule": {"beta_t0": 1e-4, "beta_t1": 2e-2, "num_steps": 1000, "variance": "beta_tilde",
                             "clip": 5.0, "rescale": 1.0, "beta_exp": 7.5, "repartition": "power",
                             "noise_scale": 1.0},
                "diffusion_unet": {"hidden": 8, "depth": 4, "kernel": 8, "stride": 4, "res_blocks": 1,
                                   "growth": 2.0, "norm_groups": 4, "max_channels": 64, "emb_all_layers": True,
                                   "cross_attention": False, "bilstm": False, "transformer": False,
                                   "codec_dim": DEMO.latent},
                "processor": {"name": "multi_band_processor", "use": True, "n_bands": 2, "num_samples": 8,
                              "power_std": 1.0},
            }
        )  # fmt: skip
        processor = builders.get_processor(config.processor, sample_rate=kind.sample_rate)
        for _ in range(2):  # fits the bands' rescaling, which needs num_samples clips before it works
            processor.project_sample(_practice_sounds(kind.sample_rate))
        package[index] = {
            "cfg": config,
            "model_state": builders.get_diffusion_model(config).state_dict(),
            "processor_state": processor.state_dict(),
        }
    torch.save(package, path)


def _write_discriminators(path: Path, kind: Kind) -> None:
    config = OmegaConf.create(
        {
            "sample_rate": kind.sample_rate,
            "window": 2 * kind.sample_rate,
            "calibration": None,  # untrained scores mean nothing, and `analyze` reports that
            "mpd": {"periods": [2, 3, 5, 7, 11], "filters": 2, "max_filters": 64, "kernel_sizes": [5, 3]},
            "msd": {"scale_norms": ["weight_norm"] * 3, "filters": 8, "max_filters": 64},
            "msstftd": {"filters": 8, "n_ffts": [1024, 2048, 4096], "hop_lengths": [120, 240, 480],
                        "win_lengths": [1024, 2048, 4096]},
        }
    )  # fmt: skip
    save(path, DiscriminatorSet.build(config).state_dict(), config)
