"""Reads weights from safetensors and a JSON file: numbers and names, and nothing executable.

Each file of audiocraft's layout becomes a pair. For example, `state_dict.bin` becomes:

    state_dict.safetensors      the weights under their names
    state_dict.json             {"format": 1, "precision": "int8", "config": {the experiment's config}}

The precision tells people how the weights were stored, see `precision`; for reading them their dtypes are enough.

The bands of `mbd_musicgen_32khz.th` share a pair. Their weights are named `<band>.model_state.<name>` and
`<band>.processor_state.<name>`, and the JSON is {"format": 1, "sample_rate": Hz, "bands": [{"config": …}, …]}.
The JSON of a codec that another library publishes is {"format": 1, "pretrained": its name}, without weights.

Three things make the files smaller; loading reverses each of them:

- weights are float16 where the module has float32; `load_state_dict` casts them;
- a weight W may be int8 [rows, columns] with a float16 `W::scale` [rows]: each row is its integers times its scale
  (symmetric quantization). The dtype alone marks a weight as quantized;
- `embed_avg` and `cluster_size` of EnCodec's codebooks are absent: only training reads these running means.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from audiocraft_triton.contract.errors import CheckpointError

FORMAT = 1
SCALE = "::scale"
"""Suffix of the name of a quantized weight's scale."""

_EMBEDDINGS = "._codebook.embed"
_KINDS = ("config", "bands", "pretrained")


def training_buffers(embeddings: str) -> tuple[str, str]:
    """Returns the names of a codebook's running means (of cluster sizes, of embeddings) from its embeddings' name."""
    return embeddings.removesuffix("embed") + "cluster_size", f"{embeddings}_avg"


def is_codebook(name: str) -> bool:
    """Tells whether a weight is the embeddings of one of EnCodec's codebooks."""
    return name.endswith(_EMBEDDINGS)


def read_pair(weights: Path, description: Path) -> dict[Any, Any]:
    """Reads a pair into the contents of the file it replaces, with the config as plain values.

    Returns:
        {"best_state", "xp.cfg"}, or {"sample_rate", "n_bands", 0: {"cfg", "model_state", "processor_state"}, …},
        or {"pretrained"}; quantized weights as float32.

    Raises:
        CheckpointError: one of the two is damaged, foreign, or has a format that this version does not know.
    """
    facts = _read_description(description)
    tensors = _dequantized(_read_tensors(weights), weights)
    if "pretrained" in facts:
        return {"pretrained": facts["pretrained"]}
    if "bands" in facts:
        return _diffusion(facts, tensors, description)
    return {"xp.cfg": facts["config"], "best_state": _with_training_buffers(tensors)}


def _read_description(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(facts, dict) or "format" not in facts:
        raise CheckpointError(f"{path} does not describe a checkpoint: it has no format")
    if facts["format"] != FORMAT:
        raise CheckpointError(f"{path} has format {facts['format']!r}: this version reads format {FORMAT}")
    kinds = [kind for kind in _KINDS if kind in facts]
    if len(kinds) != 1:
        raise CheckpointError(f"{path} does not describe a checkpoint: it must have one of {', '.join(_KINDS)}")
    expected = {"config": dict, "bands": list, "pretrained": str}[kinds[0]]
    if not isinstance(facts[kinds[0]], expected):
        raise CheckpointError(f"{path} is damaged: {kinds[0]} is a {type(facts[kinds[0]]).__name__}")
    return facts


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {str(error).partition(chr(10))[0]}") from error
    return tensors


def _dequantized(tensors: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    quantized = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    scales = {name for name in tensors if name.endswith(SCALE)}
    for name in sorted({f"{name}{SCALE}" for name in quantized} ^ scales):
        what = "has no int8 weight" if name in scales else "is missing"
        raise CheckpointError(f"{path} is damaged: the scale {name} {what}")
    weights = {}
    for name in tensors.keys() - scales:
        weight = tensors[name]
        if name in quantized:
            scale = tensors[f"{name}{SCALE}"]
            if weight.dim() != 2 or scale.shape != (len(weight),):
                raise CheckpointError(
                    f"{path} is damaged: {name} is int8 {list(weight.shape)} with a scale {list(scale.shape)}; "
                    "must be [rows, columns] and [rows]"
                )
            weight = weight.float() * scale.float()[:, None]
        weights[name] = weight
    return weights


def _with_training_buffers(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Adds the buffers that only training reads, so that the state fits its module."""
    filled = dict(state)
    for name in filter(is_codebook, state):
        sizes, means = training_buffers(name)
        filled.setdefault(sizes, torch.ones(len(state[name])))
        filled.setdefault(means, state[name].clone())
    return filled


def _diffusion(facts: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], path: Path) -> dict[Any, Any]:
    if not isinstance(facts.get("sample_rate"), int):
        raise CheckpointError(f"{path} is damaged: it has no sample_rate")
    states: dict[tuple[str, str], dict[str, torch.Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        band, _, rest = name.partition(".")
        part, _, weight = rest.partition(".")
        states[band, part][weight] = tensor
    package: dict[Any, Any] = {"sample_rate": facts["sample_rate"], "n_bands": len(facts["bands"])}
    for index, band in enumerate(facts["bands"]):
        if not isinstance(band, dict) or not isinstance(band.get("config"), dict):
            raise CheckpointError(f"{path} is damaged: band {index} has no config")
        package[index] = {
            "cfg": band["config"],
            **{part: states[str(index), part] for part in ("model_state", "processor_state")},
        }
    return package
