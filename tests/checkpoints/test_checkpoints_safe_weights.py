"""Pairs of safetensors and JSON: the content that a pair gives, and the pairs that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DIFFUSION_FILE,
    LM_FILE,
    pair_names,
    resolve,
)
from audiocraft_triton.checkpoints.loading import load_codec, load_diffusion, load_lm
from audiocraft_triton.checkpoints.safe_weights import FORMAT, read_pair
from audiocraft_triton.contract.errors import CheckpointError

CPU = torch.device("cpu")
LOADERS: dict[str, Callable[..., Any]] = {
    LM_FILE: load_lm,
    CODEC_FILE: load_codec,
    DIFFUSION_FILE: load_diffusion,
}
DESCRIPTION = {"format": FORMAT, "config": {"lm_model": "transformer_lm"}}


def write(folder: Path, tensors: dict[str, torch.Tensor], description: Any = DESCRIPTION) -> tuple[Path, Path]:
    """Writes a pair that stands for state_dict.bin."""
    weights, beside = (folder / name for name in pair_names(LM_FILE))
    save_file(tensors, weights)
    beside.write_text(json.dumps(description))
    return weights, beside


def test_an_int8_weight_is_multiplied_by_the_scale_of_its_row(tmp_path: Path) -> None:
    integers = torch.tensor([[127, -127, 0], [1, 2, -3]], dtype=torch.int8)
    scale = torch.tensor([0.5, 2.0], dtype=torch.float16)
    bias = torch.tensor([1.5], dtype=torch.float16)
    package = read_pair(*write(tmp_path, {"w.weight": integers, "w.weight::scale": scale, "w.bias": bias}))
    assert package["xp.cfg"] == DESCRIPTION["config"]
    state = package["best_state"]
    assert state.keys() == {"w.weight", "w.bias"}
    assert state["w.weight"].dtype == torch.float32
    assert state["w.weight"].tolist() == [[63.5, -63.5, 0.0], [2.0, 4.0, -6.0]]
    assert torch.equal(state["w.bias"], bias)


def test_missing_running_means_of_a_codebook_are_restored(tmp_path: Path) -> None:
    first, second = "quantizer.vq.layers.0._codebook.", "quantizer.vq.layers.1._codebook."
    embeddings = torch.arange(6.0).reshape(3, 2)
    kept = {
        f"{second}embed": embeddings + 1,
        f"{second}embed_avg": embeddings + 2,
        f"{second}cluster_size": torch.tensor([4.0, 5.0, 6.0]),
    }
    state = read_pair(*write(tmp_path, {f"{first}embed": embeddings, f"{first}inited": torch.ones(1), **kept}))[
        "best_state"
    ]
    assert torch.equal(state[f"{first}embed_avg"], embeddings)
    assert state[f"{first}cluster_size"].tolist() == [1.0, 1.0, 1.0]
    assert all(torch.equal(state[name], tensor) for name, tensor in kept.items())


def test_bands_are_kept_separate(tmp_path: Path) -> None:
    tensors = {
        f"{band}.{part}_state.a.b": torch.full((1,), band) for band in range(11) for part in ("model", "processor")
    }
    bands = [{"config": {"channels": band}} for band in range(11)]
    package = read_pair(*write(tmp_path, tensors, {"format": FORMAT, "sample_rate": 32_000, "bands": bands}))
    assert (package["sample_rate"], package["n_bands"]) == (32_000, 11)
    for band in range(11):
        assert package[band]["cfg"] == {"channels": band}
        for part in ("model_state", "processor_state"):
            assert {name: tensor.item() for name, tensor in package[band][part].items()} == {"a.b": band}


def test_a_codec_of_another_library_is_given_by_its_name(tmp_path: Path) -> None:
    pair = write(tmp_path, {}, {"format": FORMAT, "pretrained": "facebook/encodec_32khz"})
    assert read_pair(*pair) == {"pretrained": "facebook/encodec_32khz"}


@pytest.mark.parametrize("damage", ["cut in half", "empty", "text", "one byte missing"])
@pytest.mark.parametrize("which", [0, 1], ids=["weights", "description"])
def test_a_damaged_file_is_named(which: int, damage: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"w": torch.zeros(9)})[which]
    whole = path.read_bytes()
    contents = {
        "cut in half": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"<html>\xff",
        "one byte missing": whole[:-1],
    }
    path.write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match=r"is damaged: .") as caught:
        load_lm(resolve(str(tmp_path)), CPU)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ([], "does not describe a checkpoint: it has no format"),
        ({"architectures": ["T5EncoderModel"]}, "does not describe a checkpoint: it has no format"),
        ({"format": 2, "config": {}}, r"has format 2: this version reads format 1"),
        ({"format": "1", "config": {}}, r"has format '1': this version reads format 1"),
        ({"format": 1}, "must have one of config, bands, pretrained"),
        ({"format": 1, "config": {}, "bands": []}, "must have one of config, bands, pretrained"),
        ({"format": 1, "config": "lm: transformer"}, "is damaged: config is a str"),
        ({"format": 1, "bands": {}}, "is damaged: bands is a dict"),
        ({"format": 1, "bands": [{}]}, "is damaged: it has no sample_rate"),
        ({"format": 1, "sample_rate": 32_000, "bands": [{}]}, "is damaged: band 0 has no config"),
    ],
)
def test_a_description_of_something_else_is_refused_with_the_reason(
    description: Any, said: str, tmp_path: Path
) -> None:
    pair = write(tmp_path, {}, description)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_pair(*pair)
    assert str(pair[1]) in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"w": torch.zeros(2, 3, dtype=torch.int8)}, "the scale w::scale is missing"),
        ({"w::scale": torch.zeros(2)}, "the scale w::scale has no int8 weight"),
        ({"w": torch.zeros(2, 3), "w::scale": torch.zeros(2)}, "the scale w::scale has no int8 weight"),
        (
            {"w": torch.zeros(2, 3, dtype=torch.int8), "w::scale": torch.zeros(3)},
            r"w is int8 \[2, 3\] with a scale \[3\]",
        ),
        (
            {"w": torch.zeros(2, 3, 4, dtype=torch.int8), "w::scale": torch.zeros(2)},
            r"w is int8 \[2, 3, 4\] with a scale \[2\]",
        ),
    ],
)
def test_a_scale_that_does_not_fit_is_refused(tensors: dict[str, torch.Tensor], said: str, tmp_path: Path) -> None:
    pair = write(tmp_path, tensors)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_pair(*pair)
    assert str(pair[0]) in str(caught.value)


@pytest.mark.parametrize("filename", LOADERS)
def test_weights_without_their_description_are_refused_even_next_to_audiocrafts_own_file(
    filename: str, demo_checkpoints: Path, tmp_path: Path
) -> None:
    (tmp_path / filename).write_bytes((demo_checkpoints / "music" / filename).read_bytes())
    weights, description = pair_names(filename)
    save_file({}, tmp_path / weights)
    checkpoint = resolve(str(tmp_path))
    assert checkpoint.has(filename)
    with pytest.raises(CheckpointError) as caught:
        LOADERS[filename](checkpoint, CPU)
    assert str(caught.value) == f"checkpoint {str(tmp_path)!r} has no {description} (looked in {tmp_path})"


@pytest.mark.parametrize(
    ("filename", "said"),
    [
        (LM_FILE, r"^state_dict\.safetensors of checkpoint .* lacks xp\.cfg and best_state"),
        (CODEC_FILE, r"^compression_state_dict\.safetensors of checkpoint .* lacks xp\.cfg and best_state"),
        (DIFFUSION_FILE, r"^mbd_musicgen_32khz\.safetensors of checkpoint .* is not a MultiBand Diffusion checkpoint"),
    ],
)
def test_a_pair_of_another_kind_is_refused_with_the_reason(filename: str, said: str, tmp_path: Path) -> None:
    bands = {"format": FORMAT, "sample_rate": 32_000, "bands": []}
    for path, name in zip(
        write(tmp_path, {}, DESCRIPTION if filename == DIFFUSION_FILE else bands), pair_names(filename), strict=True
    ):
        path.rename(tmp_path / name)
    with pytest.raises(CheckpointError, match=said):
        LOADERS[filename](resolve(str(tmp_path)), CPU)
