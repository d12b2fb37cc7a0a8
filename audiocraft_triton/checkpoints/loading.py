"""Builds audiocraft's modules from a checkpoint: language model, EnCodec, MultiBand Diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from audiocraft_triton.checkpoints.layout import CODEC_FILE, DIFFUSION_FILE, LM_FILE, Checkpoint
from audiocraft_triton.checkpoints.reading import (
    diffusion_bands,
    experiment_config,
    read_package,
    t5_conditioners,
    text_encoder_folders,
)
from audiocraft_triton.checkpoints.upstream import (
    CompressionModel,
    LMModel,
    NoiseSchedule,
    T5Conditioner,
    builders,
)
from audiocraft_triton.contract.errors import CheckpointError


def load_lm(checkpoint: Checkpoint, device: torch.device) -> LMModel:
    """Loads the language model with its conditioners, in eval mode: float32 on a CPU, float16 on a GPU, as upstream."""
    files = checkpoint.files(LM_FILE)
    package = read_package(files)
    config = experiment_config(package, checkpoint, files[0].name)
    config.device = str(device)
    config.dtype = "float32" if device.type == "cpu" else "float16"
    _drop_training_settings(config)
    _register_local_text_encoder(config, checkpoint)
    lm = builders.get_lm_model(config)
    _load_weights(lm, package["best_state"], checkpoint, files[0].name)
    lm.cfg = config
    if "self_wav" in lm.condition_provider.conditioners:  # melody, set as in upstream's MusicGen.get_pretrained
        lm.condition_provider.conditioners["self_wav"].match_len_on_eval = True
        lm.condition_provider.conditioners["self_wav"]._use_masking = False
    return lm.eval()


def load_codec(checkpoint: Checkpoint, device: torch.device) -> CompressionModel:
    """Loads the EnCodec in eval mode, float32."""
    files = checkpoint.files(CODEC_FILE)
    package = read_package(files)
    if "pretrained" in package:
        return CompressionModel.get_pretrained(package["pretrained"], device=device)
    config = experiment_config(package, checkpoint, files[0].name)
    config.device = str(device)
    codec = builders.get_compression_model(config)
    _load_weights(codec, package["best_state"], checkpoint, files[0].name)
    return codec.eval()


@dataclass(frozen=True, slots=True)
class DiffusionBand:
    """One band of MultiBand Diffusion: its denoising network and its noise schedule."""

    network: torch.nn.Module
    schedule: NoiseSchedule


def load_diffusion(checkpoint: Checkpoint, device: torch.device) -> list[DiffusionBand]:
    """Loads the bands of a MultiBand Diffusion checkpoint, in eval mode."""
    files = checkpoint.files(DIFFUSION_FILE)
    package = read_package(files)
    bands = []
    for band in diffusion_bands(package, checkpoint, files[0].name):
        config = OmegaConf.create(band["cfg"])
        network = builders.get_diffusion_model(config)
        _load_weights(network, band["model_state"], checkpoint, files[0].name)
        processor = builders.get_processor(config.processor, sample_rate=package["sample_rate"])
        _load_weights(processor, band["processor_state"], checkpoint, files[0].name)
        schedule = NoiseSchedule(**config.schedule, sample_processor=processor.to(device), device=device)
        bands.append(DiffusionBand(network.to(device).eval(), schedule))
    return bands


def _load_weights(module: torch.nn.Module, state: Mapping[str, Any], checkpoint: Checkpoint, filename: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the weights in {filename} of checkpoint {checkpoint.name!r} don't fit its own config: {reason}"
        ) from error


def _drop_training_settings(config: DictConfig) -> None:
    """Removes the training settings that the builders reject, as upstream does."""
    for name in ("self_wav.chroma_stem.cache_path", "args.merge_text_conditions_p", "args.drop_desc_p"):
        *parents, leaf = f"conditioners.{name}".split(".")
        node: Any = config
        for parent in parents:
            node = node.get(parent) if node is not None else None
        if node is not None and leaf in node:
            del node[leaf]


def _register_local_text_encoder(config: DictConfig, checkpoint: Checkpoint) -> None:
    """Points T5 conditioners at a folder next to the checkpoint, which upstream's fixed list of names forbids."""
    for conditioner, directory in text_encoder_folders(config, checkpoint):
        path = str(directory.resolve())
        conditioner.t5.name = path
        if path not in T5Conditioner.MODELS:
            T5Conditioner.MODELS.append(path)
            T5Conditioner.MODELS_DIMS[path] = OmegaConf.load(directory / "config.json").d_model
    for conditioner in t5_conditioners(config):
        if conditioner.t5.name not in T5Conditioner.MODELS:
            raise CheckpointError(
                f"checkpoint {checkpoint.name!r} has no folder {conditioner.t5.name} with the T5 that its config names"
            )
