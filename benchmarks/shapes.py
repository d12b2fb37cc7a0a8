"""The sizes that are measured, and checkpoints of these sizes with random weights, built once and kept.

Speed does not depend on the weights' values, so nothing is downloaded. `demo` is the seeded demo checkpoint; the
others have the sizes of Meta's checkpoints of that name, EnCodec and T5 included.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from audiocraft_triton.checkpoints.layout import CODEC_FILE, LM_FILE
from audiocraft_triton.checkpoints.upstream import builders
from audiocraft_triton.contract.errors import CheckpointError
from training.architecture import (
    DEMO,
    MUSIC,
    TEXT_ENCODER_FOLDER,
    Shape,
    codec_config,
    initial_lm_state,
    lm_config,
    save,
)
from training.seeded_checkpoint import make_seeded_checkpoints, write_text_encoder

_SHAPE_FILE = "shape.json"
_SEED = 2306

# What all of Meta's MusicGen checkpoints share: EnCodec at 32 kHz, and t5-base.
_musicgen = partial(
    Shape, card=2048, codec_filters=64, latent=128,
    text_width=768, text_layers=12, text_heads=12, text_head_width=64, text_feed_forward=3072,
)  # fmt: skip
SHAPES: Mapping[str, Shape] = {
    "demo": DEMO,
    "small": _musicgen(dim=1024, layers=24, heads=16),
    "medium": _musicgen(dim=1536, layers=48, heads=24),
    "large": _musicgen(dim=2048, layers=48, heads=32),
}


def ready_checkpoint(name: str, directory: Path, device: torch.device, say: Callable[[str], None]) -> Path:
    """The checkpoint of a shape: what is there already, else built, all or nothing.

    Args:
        name: one of SHAPES.
        directory: holds a folder for each shape.
        device: where the weights are drawn; billions of them take a minute on a CPU, a second on a GPU.
        say: told what takes long.

    Raises:
        CheckpointError: the folder holds something else.
    """
    folder = directory / name
    if folder.exists():
        _check_shape(folder, SHAPES[name])
        return folder
    say(f"building the {name} checkpoint with random weights in {folder}")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        built = Path(scratch) / MUSIC.folder
        if SHAPES[name] is DEMO:
            make_seeded_checkpoints(Path(scratch), report=lambda _line: None)
        else:
            write_random_checkpoint(built, SHAPES[name], device)
        (built / _SHAPE_FILE).write_text(json.dumps(asdict(SHAPES[name])))
        built.rename(folder)
    return folder


@torch.no_grad()
def write_random_checkpoint(folder: Path, shape: Shape, device: torch.device) -> None:
    """Writes what MusicGen loads: language model and EnCodec as float16, as Meta's files are, T5 as float32."""
    folder.mkdir(parents=True)
    draws = torch.Generator(device).manual_seed(_SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        write_text_encoder(folder / TEXT_ENCODER_FOLDER, shape)
        save(folder / CODEC_FILE, _codec_state(shape), codec_config(MUSIC, shape))
    config = lm_config(MUSIC, shape)
    # Upstream's own initialization takes minutes for billions of weights: only its shapes are taken.
    shapes = initial_lm_state(config, shape, device="meta")
    state = {name: _initialized(name, weight, draws).half().cpu() for name, weight in shapes.items()}
    save(folder / LM_FILE, state, config)


def _initialized(name: str, weight: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Float32 values for one weight of the language model, of upstream's standard deviations."""
    values = torch.zeros(weight.shape, device=draws.device)
    if name.endswith("bias"):
        return values
    if weight.dim() == 1:  # a norm's
        return values + 1
    deviation = weight.shape[-1] ** -0.5
    parts = name.split(".")
    if parts[:2] == ["transformer", "layers"]:
        # Deeper layers start smaller, so that what the layers add up to stays within float16.
        deviation *= (2 * (int(parts[2]) + 1)) ** -0.5
    return values.normal_(0.0, deviation, generator=draws)


def _codec_state(shape: Shape) -> dict[str, torch.Tensor]:
    """An untrained EnCodec with random codebooks: k-means on real sounds changes what it says, not how fast."""
    codec = builders.get_compression_model(codec_config(MUSIC, shape))
    state: dict[str, torch.Tensor] = codec.state_dict()
    for name, tensor in state.items():
        if name.endswith(("_codebook.embed", "_codebook.embed_avg")):
            tensor.normal_()
        elif name.endswith(("_codebook.inited", "_codebook.cluster_size")):
            tensor.fill_(1)
    return {name: tensor.half() for name, tensor in state.items()}


def _check_shape(folder: Path, shape: Shape) -> None:
    described = folder / _SHAPE_FILE
    if not described.is_file() or json.loads(described.read_text()) != asdict(shape):
        raise CheckpointError(
            f"{folder} is not the checkpoint of this shape: give another folder with --checkpoints, or remove it"
        )
