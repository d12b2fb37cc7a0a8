"""The measured sizes, and checkpoints of these sizes with random weights, built once and kept.

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

# EnCodec at 32 kHz and t5-base are the same in all of Meta's MusicGen checkpoints.
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
    """Returns the checkpoint of a shape; builds it, completely or not at all, if it doesn't exist.

    Args:
        name: one of SHAPES.
        directory: holds a folder for each shape.
        device: draws the weights; billions of them take a minute on a CPU, a second on a GPU.
        say: receives lines of progress.

    Raises:
        CheckpointError: the folder holds other files.
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
    """Writes the files that MusicGen loads: language model and EnCodec in float16 like Meta's, T5 in float32."""
    folder.mkdir(parents=True)
    draws = torch.Generator(device).manual_seed(_SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        write_text_encoder(folder / TEXT_ENCODER_FOLDER, shape)
        save(folder / CODEC_FILE, _codec_state(shape), codec_config(MUSIC, shape))
    config = lm_config(MUSIC, shape)
    # Upstream's own initialization takes minutes for billions of weights, so only its shapes are used.
    shapes = initial_lm_state(config, shape, device="meta")
    state = {name: _initialized(name, weight, draws).half().cpu() for name, weight in shapes.items()}
    save(folder / LM_FILE, state, config)


def _initialized(name: str, weight: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Draws float32 values for one weight of the language model, with upstream's standard deviations."""
    values = torch.zeros(weight.shape, device=draws.device)
    if name.endswith("bias"):
        return values
    if weight.dim() == 1:  # a norm
        return values + 1
    deviation = weight.shape[-1] ** -0.5
    parts = name.split(".")
    if parts[:2] == ["transformer", "layers"]:
        # Deeper layers start smaller, so that the sum of the layers stays within float16.
        deviation *= (2 * (int(parts[2]) + 1)) ** -0.5
    return values.normal_(0.0, deviation, generator=draws)


def _codec_state(shape: Shape) -> dict[str, torch.Tensor]:
    """Returns an untrained EnCodec with random codebooks, because k-means on real sounds would not change its speed."""
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
            f"{folder} is not the checkpoint of this shape: choose another folder with --checkpoints, or remove it"
        )
