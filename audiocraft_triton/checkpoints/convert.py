"""Converts a checkpoint into safetensors and JSON (the layout of `safe_weights`), at lower precision if asked.

The result holds what serving needs and nothing executable. The same checkpoint gives the same bytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file

from audiocraft_triton.checkpoints import safe_weights
from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DIFFUSION_FILE,
    DISCRIMINATORS_FILE,
    LM_FILE,
    Checkpoint,
    pair_names,
)
from audiocraft_triton.checkpoints.precision import EFFECTS, Precision
from audiocraft_triton.checkpoints.reading import (
    diffusion_bands,
    experiment_config,
    read_package,
    text_encoder_folders,
)
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest

State = dict[str, torch.Tensor]

FILES = (LM_FILE, CODEC_FILE, DIFFUSION_FILE, DISCRIMINATORS_FILE)
_TEXT_ENCODER_FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
_LARGEST_INT8 = 127
# Rounding to float16 changes a number by at most 2^-11 of its value; a larger change means it exceeds float16's range.
_FLOAT16_ERROR = 2.0**-11


def convert(
    checkpoint: Checkpoint,
    out: Path,
    *,
    lm: Precision,
    rest: Literal["float32", "float16"] = "float16",
    report: Callable[[str], None] = print,
) -> None:
    """Writes those of the language model, EnCodec, diffusion bands and discriminators that a checkpoint has.

    Writes all of them or, on an error, nothing. T5 folders next to the checkpoint are copied unchanged.

    Args:
        checkpoint: in either layout, or a hub id.
        out: folder to make; may exist if it is empty.
        lm: precision of the language model's weights. With int8, matrices are int8 with one scale per row, and all
            other weights are float16.
        rest: precision of all other weights, except the statistics of the diffusion's processor, which stay float32.
            With float16, a weight whose numbers exceed float16's range stays float32.
        report: takes a line of progress.

    Raises:
        InvalidRequest: `out` is not empty.
        CheckpointError: the checkpoint is missing, damaged, or holds something that can't be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InvalidRequest("out", str(out), "must be a new or an empty folder")
    present = [filename for filename in FILES if checkpoint.has(filename)]
    if not present:
        raise CheckpointError(f"checkpoint {checkpoint.name!r} has none of {', '.join(FILES)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        built = Path(scratch) / out.name
        built.mkdir()
        for filename in present:
            _convert_file(checkpoint, filename, built, lm if filename == LM_FILE else rest, report)
        built.replace(out)
    report(f"checkpoint {checkpoint.name!r} converted to {out}")
    if LM_FILE in present:
        report(f"The language model is stored in {lm}: its tokens are {EFFECTS[lm]}.")


def _convert_file(
    checkpoint: Checkpoint, filename: str, folder: Path, precision: Precision, report: Callable[[str], None]
) -> None:
    source = checkpoint.files(filename)
    package = read_package(source)
    where = f"{source[0].name} of checkpoint {checkpoint.name!r}"
    facts: dict[str, Any]
    if "pretrained" in package:
        state, facts = {}, {"pretrained": package["pretrained"]}
    elif filename == DIFFUSION_FILE:
        bands = diffusion_bands(package, checkpoint, source[0].name)
        configs = [{"config": _plain(OmegaConf.create(band["cfg"]))} for band in bands]
        state, facts = _packed_bands(bands, precision, where), {"sample_rate": package["sample_rate"], "bands": configs}
    else:
        config = experiment_config(package, checkpoint, source[0].name)
        state, facts = _packed(_for_serving(package["best_state"]), precision, where), {"config": _plain(config)}
        if filename == LM_FILE:
            _copy_text_encoders(config, checkpoint, folder, report)
    recorded = {"precision": precision} if state else {}
    weights, description = (folder / name for name in pair_names(filename))
    save_file(state, weights)
    weights.chmod(folder.stat().st_mode & 0o666)  # safetensors makes files that only their owner may read
    description.write_text(_as_json({"format": safe_weights.FORMAT, **recorded, **facts}, where), encoding="utf-8")
    report(f"{weights.name}: {weights.stat().st_size / 1e6:.2f} MB, {precision}")


def _plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False)


def _as_json(facts: Mapping[str, Any], where: str) -> str:
    try:
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        same = json.loads(text) == facts
    except TypeError:
        same = False
    if not same:
        raise CheckpointError(f"the config in {where} can't be written as JSON: it holds more than plain values")
    return text + "\n"


def _packed_bands(bands: list[Mapping[str, Any]], precision: Precision, where: str) -> State:
    packed: State = {}
    for index, band in enumerate(bands):
        for part, its_precision in (("model_state", precision), ("processor_state", "float32")):
            state = _packed(band[part], its_precision, where)
            packed |= {f"{index}.{part}.{name}": weight for name, weight in state.items()}
    return packed


def _for_serving(state: Mapping[str, torch.Tensor]) -> State:
    """Returns the state without the codebooks' running means, which only training reads."""
    unused = {
        buffer for name in filter(safe_weights.is_codebook, state) for buffer in safe_weights.training_buffers(name)
    }
    return {name: weight for name, weight in state.items() if name not in unused}


def _packed(state: Mapping[str, torch.Tensor], precision: Precision, where: str) -> State:
    packed: State = {}
    for name, weight in state.items():
        if not isinstance(weight, torch.Tensor) or weight.dtype == torch.int8:
            raise CheckpointError(f"{name} in {where} is not a weight that can be converted")
        if not weight.is_floating_point():
            packed[name] = weight.contiguous()
            continue
        if not weight.isfinite().all():
            raise CheckpointError(f"{name} in {where} holds numbers that are not finite")
        exact = weight.float().clone(memory_format=torch.contiguous_format)
        if precision == "int8" and exact.dim() == 2 and name.endswith("weight"):
            packed |= _quantized(name, exact)
        else:
            packed[name] = exact if precision == "float32" else _halved(exact)
    return packed


def _halved(weight: torch.Tensor) -> torch.Tensor:
    """Returns the weight in float16, or unchanged if its numbers exceed float16's range."""
    if weight.numel() == 0:
        return weight.half()
    half = weight.half()
    fits = (half.float() - weight).abs().max() <= _FLOAT16_ERROR * weight.abs().max()
    return half if fits else weight


def _quantized(name: str, weight: torch.Tensor) -> State:
    """Quantizes a matrix [rows, columns] to symmetric int8; a float16 scale maps each row's largest number to 127."""
    scale = (weight.abs().amax(dim=1) / _LARGEST_INT8).half()
    if not scale.isfinite().all():
        return {name: weight}
    # A row of zeros has scale 0; any divisor gives the same integers.
    steps = weight / scale.float().where(scale > 0, 1.0)[:, None]
    integers = steps.round().clamp(-_LARGEST_INT8, _LARGEST_INT8).to(torch.int8)
    return {name: integers, f"{name}{safe_weights.SCALE}": scale}


def _copy_text_encoders(
    config: DictConfig, checkpoint: Checkpoint, folder: Path, report: Callable[[str], None]
) -> None:
    for conditioner, source in text_encoder_folders(config, checkpoint):
        name = str(conditioner.t5.name)
        copy = folder / name
        if not copy.resolve().is_relative_to(folder.resolve()) or copy == folder:
            raise CheckpointError(f"the T5 of checkpoint {checkpoint.name!r} is not in its folder: {name}")
        copied = sorted({path for pattern in _TEXT_ENCODER_FILES for path in source.glob(pattern)})
        if not any(path.suffix == ".safetensors" for path in copied):
            raise CheckpointError(f"the T5 of checkpoint {checkpoint.name!r} has no safetensors (looked in {source})")
        copy.mkdir(parents=True, exist_ok=True)  # two conditioners may share one T5
        for path in copied:
            shutil.copyfile(path, copy / path.name)
        report(f"{name}: {sum(path.stat().st_size for path in copied) / 1e6:.2f} MB, unchanged")
