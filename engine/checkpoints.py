"""Checkpoints, from a directory or a model hub, found by name and loaded without running pickled code.

A checkpoint in audiocraft's layout holds (what a model needs of it, the rest may be absent)

    state_dict.bin              the language model: {"best_state", "xp.cfg": YAML}
    compression_state_dict.bin  the EnCodec, likewise
    <t5 name>/                  text encoder and tokenizer, where the config names a folder beside it
    mbd_musicgen_32khz.th       MultiBand Diffusion
    discriminators.bin          the three discriminators: {"best_state", "xp.cfg": YAML} (ours)

In a directory, each of these files may be a pair of safetensors and JSON instead (`engine.safe_weights`), as in the
demo checkpoints; a pair wins over the file. Hub ids keep audiocraft's own files.
"""

from __future__ import annotations

import os
import pickle
import re
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine import audiocraft_imports  # noqa: F401  (first: makes the imports below work)
from engine.errors import CheckpointError
from engine.safe_weights import pair_names, read_pair

from audiocraft.models import builders  # isort: skip
from audiocraft.models.encodec import CompressionModel  # isort: skip
from audiocraft.models.lm import LMModel  # isort: skip
from audiocraft.modules.conditioners import T5Conditioner  # isort: skip
from audiocraft.modules.diffusion_schedule import NoiseSchedule  # isort: skip
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

LM_FILE = "state_dict.bin"
CODEC_FILE = "compression_state_dict.bin"
DIFFUSION_FILE = "mbd_musicgen_32khz.th"
DISCRIMINATORS_FILE = "discriminators.bin"

DEMO_CHECKPOINTS = {"demo": "music", "demo-sound": "sound"}
_PROJECT = Path(__file__).resolve().parent.parent
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")

# What an omegaconf config inside a diffusion checkpoint unpickles to; nothing else may.
_CONFIG_TYPES = [DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode, typing.Any, dict, list,
                 defaultdict, int, float, str, bool]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint's files come from.

    Attributes:
        name: as the user gave it.
        directory: local folder; None for a hub id, whose files are fetched (or found in the hub's cache) on use.
    """

    name: str
    directory: Path | None

    def files(self, filename: str) -> tuple[Path, ...]:
        """The local paths of what audiocraft's layout calls `filename`: its safetensors and JSON, else the file.

        Raises:
            CheckpointError: neither is there, the pair is incomplete, or the hub can't provide the file.
        """
        if self.directory is None:
            return (self.file(filename),)
        weights, description = pair_names(filename)
        if (self.directory / weights).is_file():
            return self.directory / weights, self.file(description)
        if not (self.directory / filename).is_file():
            raise CheckpointError(
                f"checkpoint {self.name!r} has neither {weights} nor {filename} (looked in {self.directory})"
            )
        return (self.directory / filename,)

    def file(self, filename: str) -> Path:
        """The local path of one file of exactly this name.

        Raises:
            CheckpointError: the file is not there, or the hub can't provide it.
        """
        if self.directory is not None:
            path = self.directory / filename
            if not path.is_file():
                raise CheckpointError(f"checkpoint {self.name!r} has no {filename} (looked in {self.directory})")
            return path
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(repo_id=self.name, filename=filename, library_name="audiocraft-triton"))
        except Exception as error:  # the hub client raises types of several libraries
            raise CheckpointError(
                f"checkpoint {self.name!r}: {filename} is neither in the hub's cache nor could it be fetched "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); without network, "
                "give a local directory"
            ) from error

    def has(self, filename: str) -> bool:
        """Whether a local checkpoint holds the file or its pair; of a hub id this asks the hub."""
        if self.directory is not None:
            return any((self.directory / name).is_file() for name in (pair_names(filename)[0], filename))
        try:
            self.file(filename)
        except CheckpointError:
            return False
        return True


def demo_directory() -> Path:
    """Where the demo checkpoints lie: AUDIOCRAFT_DEMO_CHECKPOINTS, else `export/demo_checkpoints` in the project."""
    given = os.environ.get("AUDIOCRAFT_DEMO_CHECKPOINTS")
    return Path(given) if given else _PROJECT / "export" / "demo_checkpoints"


def resolve(name: str) -> Checkpoint:
    """Finds a checkpoint by name.

    Args:
        name: `demo` (music), `demo-sound`, a local directory, or a hub id such as `facebook/musicgen-small`.

    Raises:
        CheckpointError: nothing of that name.
    """
    if name in DEMO_CHECKPOINTS:
        directory = demo_directory() / DEMO_CHECKPOINTS[name]
        if not directory.is_dir():
            raise CheckpointError(
                f"checkpoint {name!r} is missing ({directory}): the demo checkpoints come with the project's git "
                "repository, in export/demo_checkpoints; restore them from there, or set AUDIOCRAFT_DEMO_CHECKPOINTS "
                "to a folder with untrained ones from: python -m export make-test-checkpoint --out FOLDER"
            )
        return Checkpoint(name, directory)
    if name and Path(name).is_dir():
        return Checkpoint(name, Path(name).resolve())
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        return Checkpoint(name, None)
    raise CheckpointError(
        f"unknown checkpoint {name!r}: must be one of {', '.join(DEMO_CHECKPOINTS)}, an existing directory, "
        "or a hub id such as facebook/musicgen-small"
    )


def read_state(path: Path) -> dict[Any, Any]:
    """Reads a torch.save file: tensors, plain values and omegaconf configs only.

    Raises:
        CheckpointError: the file is damaged, or holds a pickled object that would run code.
    """
    try:
        with torch.serialization.safe_globals(_CONFIG_TYPES):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"the pickled object {refused[1]}" if refused else "data that is not plain tensors and values"
        raise CheckpointError(f"{path} holds {what}: refused, loading it could run foreign code") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0] or "it is empty or cut off"
        raise CheckpointError(f"{path} is damaged: {reason}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not an audiocraft checkpoint")
    return state


def read_package(files: tuple[Path, ...]) -> dict[Any, Any]:
    """Reads what `Checkpoint.files` found, a pair or a torch.save file, into what the latter holds.

    Raises:
        CheckpointError: damaged, foreign, or with a pickled object that would run code.
    """
    return read_pair(*files) if len(files) == 2 else read_state(*files)


def experiment_config(package: Mapping[Any, Any], checkpoint: Checkpoint, filename: str) -> DictConfig:
    """The config of the experiment that trained the weights in a package.

    Raises:
        CheckpointError: the package lacks config or weights.
    """
    missing = [key for key in ("xp.cfg", "best_state") if key not in package]
    if missing:
        raise CheckpointError(
            f"{filename} of checkpoint {checkpoint.name!r} lacks {' and '.join(missing)}: not an audiocraft checkpoint"
        )
    return OmegaConf.create(package["xp.cfg"])


def diffusion_bands(package: Mapping[Any, Any], checkpoint: Checkpoint, filename: str) -> list[Mapping[str, Any]]:
    """What a package of MultiBand Diffusion holds for each band: `cfg`, `model_state` and `processor_state`.

    Raises:
        CheckpointError: it is none.
    """
    if "n_bands" not in package or "sample_rate" not in package:
        raise CheckpointError(f"{filename} of checkpoint {checkpoint.name!r} is no MultiBand Diffusion checkpoint")
    return [package[index] for index in range(package["n_bands"])]


def text_encoder_folders(config: DictConfig, checkpoint: Checkpoint) -> Iterator[tuple[DictConfig, Path]]:
    """The T5 conditioners of a language model's config whose T5 is a folder beside the checkpoint, each with it."""
    if checkpoint.directory is None:
        return
    for conditioner in _t5_conditioners(config):
        directory = checkpoint.directory / conditioner.t5.name
        if (directory / "config.json").is_file():
            yield conditioner, directory


def load_lm(checkpoint: Checkpoint, device: torch.device) -> LMModel:
    """The language model with its conditioners, in eval mode: float32 on CPU, float16 on GPU, as upstream."""
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
    if "self_wav" in lm.condition_provider.conditioners:  # melody: as upstream's MusicGen.get_pretrained sets it
        lm.condition_provider.conditioners["self_wav"].match_len_on_eval = True
        lm.condition_provider.conditioners["self_wav"]._use_masking = False
    return lm.eval()


def load_codec(checkpoint: Checkpoint, device: torch.device) -> CompressionModel:
    """The EnCodec in eval mode, float32."""
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
    """The bands of a MultiBand Diffusion checkpoint, in eval mode."""
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
    """Removes what upstream removes too: settings of training that the builders reject."""
    for name in ("self_wav.chroma_stem.cache_path", "args.merge_text_conditions_p", "args.drop_desc_p"):
        *parents, leaf = f"conditioners.{name}".split(".")
        node: Any = config
        for parent in parents:
            node = node.get(parent) if node is not None else None
        if node is not None and leaf in node:
            del node[leaf]


def _t5_conditioners(config: DictConfig) -> list[DictConfig]:
    return [conditioner for conditioner in config.conditioners.values() if conditioner.get("model") == "t5"]


def _register_local_text_encoder(config: DictConfig, checkpoint: Checkpoint) -> None:
    """Points T5 conditioners at a folder beside the checkpoint, which upstream's fixed list of names forbids."""
    for conditioner, directory in text_encoder_folders(config, checkpoint):
        path = str(directory.resolve())
        conditioner.t5.name = path
        if path not in T5Conditioner.MODELS:
            T5Conditioner.MODELS.append(path)
            T5Conditioner.MODELS_DIMS[path] = OmegaConf.load(directory / "config.json").d_model
    for conditioner in _t5_conditioners(config):
        if conditioner.t5.name not in T5Conditioner.MODELS:
            raise CheckpointError(
                f"checkpoint {checkpoint.name!r} has no folder {conditioner.t5.name} with the T5 that its config names"
            )
