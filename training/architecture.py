"""The architecture of the demo checkpoints as audiocraft configs: MusicGen's architecture at small sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from audiocraft_triton.checkpoints.upstream import builders

CODEBOOKS = 4
FRAME_RATE = 50
TEXT_ENCODER_FOLDER = "t5"


@dataclass(frozen=True, slots=True)
class Kind:
    """The settings that differ between the music checkpoint and the sound checkpoint."""

    folder: str
    sample_rate: int
    ratios: tuple[int, ...]
    max_duration: float
    seed: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a checkpoint.

    Attributes:
        dim, layers, heads: sizes of the language model.
        card: number of entries in each codebook.
        codec_filters: channels of EnCodec's outermost layer.
        latent: width of the latents that EnCodec quantizes.
        text_width, text_layers, text_heads, text_head_width, text_feed_forward: sizes of the T5.
    """

    dim: int
    layers: int
    heads: int
    card: int
    codec_filters: int
    latent: int
    text_width: int
    text_layers: int
    text_heads: int
    text_head_width: int
    text_feed_forward: int


DEMO = Shape(
    dim=64, layers=2, heads=4, card=512, codec_filters=4, latent=32,
    text_width=32, text_layers=2, text_heads=2, text_head_width=16, text_feed_forward=64,
)  # fmt: skip
MUSIC = Kind("music", 32_000, (8, 5, 4, 4), 30.0, seed=2306)
SOUND = Kind("sound", 16_000, (8, 5, 4, 2), 10.0, seed=2209)


def codec_config(kind: Kind, shape: Shape) -> DictConfig:
    """Returns the config that compression_state_dict.bin holds."""
    return OmegaConf.create(
        {
            "compression_model": "encodec",
            "device": "cpu",
            "sample_rate": kind.sample_rate,
            "channels": 1,
            "encodec": {
                "autoencoder": "seanet", "quantizer": "rvq", "sample_rate": kind.sample_rate, "channels": 1,
                "causal": False, "renormalize": False,
            },
            "seanet": {
                "dimension": shape.latent, "channels": 1, "causal": False, "n_filters": shape.codec_filters,
                "n_residual_layers": 1, "ratios": list(kind.ratios),
                "activation": "ELU", "activation_params": {"alpha": 1.0},
                "norm": "weight_norm", "norm_params": {}, "kernel_size": 7, "residual_kernel_size": 3,
                "last_kernel_size": 7, "dilation_base": 2, "pad_mode": "reflect", "true_skip": True, "compress": 2,
                "lstm": 2, "disable_norm_outer_blocks": 0,
                "encoder": {}, "decoder": {"trim_right_ratio": 1.0, "final_activation": None,
                                           "final_activation_params": None},
            },
            "rvq": {
                "n_q": CODEBOOKS, "q_dropout": False, "bins": shape.card, "decay": 0.99, "kmeans_init": True,
                "kmeans_iters": 5, "threshold_ema_dead_code": 2, "orthogonal_reg_weight": 0.0,
                "orthogonal_reg_active_codes_only": False,
            },
        }
    )  # fmt: skip


def lm_config(kind: Kind, shape: Shape) -> DictConfig:
    """Returns the config that state_dict.bin holds."""
    return OmegaConf.create(
        {
            "lm_model": "transformer_lm",
            "device": "cpu",
            "dtype": "float32",
            "sample_rate": kind.sample_rate,
            "channels": 1,
            "dataset": {"segment_duration": kind.max_duration},
            "transformer_lm": {
                "n_q": CODEBOOKS, "card": shape.card, "dim": shape.dim, "num_heads": shape.heads,
                "num_layers": shape.layers, "hidden_scale": 4,
                "dropout": 0.0, "emb_lr": None, "activation": "gelu", "norm_first": True, "bias_ff": False,
                "bias_attn": False, "bias_proj": False, "past_context": None, "causal": True, "custom": False,
                "memory_efficient": True, "attention_as_float32": False, "layer_scale": None,
                "positional_embedding": "sin", "xpos": False, "checkpointing": "none", "weight_init": "gaussian",
                "depthwise_init": "current", "zero_bias_init": True, "norm": "layer_norm", "cross_attention": False,
                "qk_layer_norm": False, "qk_layer_norm_cross": False, "attention_dropout": None, "kv_repeat": 1,
                "two_step_cfg": False,
            },
            "codebooks_pattern": {
                "modeling": "delay",
                "delay": {"delays": list(range(CODEBOOKS)), "flatten_first": 0, "empty_initial": 0},
            },
            "conditioners": {
                "args": {"merge_text_conditions_p": 0.0, "drop_desc_p": 0.0},
                "description": {
                    "model": "t5",
                    "t5": {"name": TEXT_ENCODER_FOLDER, "finetune": False, "word_dropout": 0.0,
                           "normalize_text": False},
                },
            },
            "fuser": {
                "cross_attention_pos_emb": False, "cross_attention_pos_emb_scale": 1, "sum": [], "prepend": [],
                "cross": ["description"], "input_interpolate": [],
            },
            "attribute_dropout": {"args": {"active_on_eval": False}, "text": {"description": 0.0}},
            "classifier_free_guidance": {"training_dropout": 0.3, "inference_coef": 3.0},
        }
    )  # fmt: skip


def initial_lm_state(config: DictConfig, shape: Shape, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Returns the weights of state_dict.bin as upstream initializes them; on the device "meta", only their shapes."""
    config = config.copy()
    config.device = device
    config.conditioners = {}  # state_dict.bin holds only the text encoder's projection
    state: dict[str, torch.Tensor] = builders.get_lm_model(config).state_dict()
    projection = torch.nn.Linear(shape.text_width, shape.dim, device=device)
    for name, tensor in projection.state_dict().items():
        state[f"condition_provider.conditioners.description.output_proj.{name}"] = tensor
    return state


def save(path: Path, state: dict[str, Any], config: DictConfig) -> None:
    """Writes weights and config as audiocraft's exporter does."""
    torch.save({"best_state": state, "xp.cfg": OmegaConf.to_yaml(config)}, path)
