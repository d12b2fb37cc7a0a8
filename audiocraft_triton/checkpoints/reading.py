"""Reads checkpoint files, and the configs in them, without running pickled code."""

from __future__ import annotations

import pickle
import re
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from audiocraft_triton.checkpoints.layout import Checkpoint
from audiocraft_triton.checkpoints.safe_weights import read_pair
from audiocraft_triton.contract.errors import CheckpointError

# The only types that unpickling may create: those of an omegaconf config inside a diffusion checkpoint.
_CONFIG_TYPES = [DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode, typing.Any, dict, list,
                 defaultdict, int, float, str, bool]  # fmt: skip


def read_state(path: Path) -> dict[Any, Any]:
    """Reads a torch.save file that holds only tensors, plain values and omegaconf configs.

    Raises:
        CheckpointError: the file is damaged, or holds a pickled object that could run code.
    """
    try:
        with torch.serialization.safe_globals(_CONFIG_TYPES):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"the pickled object {refused[1]}" if refused else "data that is not plain tensors and values"
        raise CheckpointError(f"{path} holds {what}: refused because loading it could run foreign code") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0] or "it is empty or cut off"
        raise CheckpointError(f"{path} is damaged: {reason}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not an audiocraft checkpoint")
    return state


def read_package(files: tuple[Path, ...]) -> dict[Any, Any]:
    """Reads the files that `Checkpoint.files` found, a pair or a torch.save file, into the contents of the latter.

    Raises:
        CheckpointError: a file is damaged, foreign, or holds a pickled object that could run code.
    """
    return read_pair(*files) if len(files) == 2 else read_state(*files)


def experiment_config(package: Mapping[Any, Any], checkpoint: Checkpoint, filename: str) -> DictConfig:
    """Returns the config of the experiment that trained the weights in a package.

    Raises:
        CheckpointError: the package lacks the config or the weights.
    """
    missing = [key for key in ("xp.cfg", "best_state") if key not in package]
    if missing:
        raise CheckpointError(
            f"{filename} of checkpoint {checkpoint.name!r} lacks {' and '.join(missing)}: not an audiocraft checkpoint"
        )
    return OmegaConf.create(package["xp.cfg"])


def diffusion_bands(package: Mapping[Any, Any], checkpoint: Checkpoint, filename: str) -> list[Mapping[str, Any]]:
    """Returns `cfg`, `model_state` and `processor_state` of each band in a MultiBand Diffusion package.

    Raises:
        CheckpointError: the package is of another kind.
    """
    if "n_bands" not in package or "sample_rate" not in package:
        raise CheckpointError(f"{filename} of checkpoint {checkpoint.name!r} is not a MultiBand Diffusion checkpoint")
    return [package[index] for index in range(package["n_bands"])]


def text_encoder_folders(config: DictConfig, checkpoint: Checkpoint) -> Iterator[tuple[DictConfig, Path]]:
    """Yields each T5 conditioner of a language model's config whose T5 is a folder next to the checkpoint, with it."""
    if checkpoint.directory is None:
        return
    for conditioner in t5_conditioners(config):
        directory = checkpoint.directory / conditioner.t5.name
        if (directory / "config.json").is_file():
            yield conditioner, directory


def t5_conditioners(config: DictConfig) -> list[DictConfig]:
    """Returns the T5 conditioners of a language model's config."""
    return [conditioner for conditioner in config.conditioners.values() if conditioner.get("model") == "t5"]
