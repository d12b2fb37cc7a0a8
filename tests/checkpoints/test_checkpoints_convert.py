"""Converted checkpoints hold the same models in safetensors and JSON: bit for bit in float32, else within a bound."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.modules.conditioners import ConditioningAttributes
from omegaconf import OmegaConf
from safetensors.torch import load_file
from typer.testing import CliRunner

from audiocraft_triton.checkpoints.convert import FILES, convert
from audiocraft_triton.checkpoints.layout import (
    CODEC_FILE,
    DEMO_CHECKPOINTS,
    DIFFUSION_FILE,
    DISCRIMINATORS_FILE,
    LM_FILE,
    SHIPPED_DEMO,
    Checkpoint,
    resolve,
)
from audiocraft_triton.checkpoints.loading import load_codec, load_diffusion, load_lm
from audiocraft_triton.checkpoints.precision import EFFECTS, Precision, stored_precision
from audiocraft_triton.checkpoints.reading import read_state
from audiocraft_triton.cli.main import app
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.engine.codec.multiband_diffusion import MultiBandDiffusion
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.scoring.discriminators import load_discriminators
from audiocraft_triton.torchscript.verify import varied_audio

CPU = torch.device("cpu")
SILENT = {"report": lambda _line: None}
Converted = dict[Precision, Path]


@pytest.fixture(scope="module")
def converted(demo_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The music checkpoint by the language model's precision; under "float32" every part is float32."""
    folder = tmp_path_factory.mktemp("converted")
    source = resolve(str(demo_checkpoints / "music"))
    convert(source, folder / "float32", lm="float32", rest="float32", **SILENT)
    convert(source, folder / "float16", lm="float16", **SILENT)
    convert(source, folder / "int8", lm="int8", **SILENT)
    return {name: folder / name for name in ("float32", "float16", "int8")}


@pytest.fixture
def source(demo_checkpoints: Path, tmp_path: Path) -> Path:
    """A copy of the music checkpoint that a test may change."""
    return Path(shutil.copytree(demo_checkpoints / "music", tmp_path / "source"))


def change(path: Path, **changes: Any) -> None:
    """Rewrites a torch.save file with changed weights; None drops a weight."""
    package = torch.load(path, weights_only=True)
    package["best_state"] |= changes
    torch.save(package, path)


def logits(checkpoint: Checkpoint) -> torch.Tensor:
    """Returns the language model's logits for random codes under a text, [2, 4, 20, card]; they must be finite."""
    lm = load_lm(checkpoint, CPU)
    codes = torch.randint(0, lm.card, (2, 4, 20), generator=torch.Generator().manual_seed(1))
    texts = [ConditioningAttributes(text={"description": text}) for text in ("slow calm piano", "fast drums")]
    with torch.inference_mode():
        output = lm.compute_predictions(codes, texts)
    return output.logits.masked_fill(~output.mask[..., None], 0.0)


def relative_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    """Returns the root mean square of the difference over that of the expected values."""
    return float((result - expected).square().mean().sqrt() / expected.square().mean().sqrt())


def test_float32_generates_encodes_scores_and_diffuses_bit_for_bit(
    converted: Converted, demo_checkpoints: Path
) -> None:
    ours, theirs = resolve(str(converted["float32"])), resolve(str(demo_checkpoints / "music"))
    clips = []
    for checkpoint in (ours, theirs):
        engine = Engine(checkpoint.name, device="cpu")
        clips.append(engine.generate("calm piano", duration=0.5, seed=3))
        engine.close()
    np.testing.assert_array_equal(clips[0].codes, clips[1].codes)
    np.testing.assert_array_equal(clips[0].waveform, clips[1].waveform)

    codes = np.random.default_rng(1).integers(0, 512, (1, 4, 10))
    sounds = [MultiBandDiffusion(checkpoint.name, device="cpu").decode(codes, [5]) for checkpoint in (ours, theirs)]
    np.testing.assert_array_equal(*sounds)

    audio = varied_audio(32_000, 2, 1, 9001)
    with torch.inference_mode():
        assert torch.equal(*(load_codec(checkpoint, CPU).encode(audio)[0] for checkpoint in (ours, theirs)))
        judges = [load_discriminators(checkpoint)[0] for checkpoint in (ours, theirs)]
        for name in DISCRIMINATORS:
            assert all(map(torch.equal, judges[0][name](audio)[0], judges[1][name](audio)[0]))


@pytest.mark.parametrize("filename", [LM_FILE, CODEC_FILE, DISCRIMINATORS_FILE])
def test_every_config_stays_the_same(filename: str, converted: Converted, demo_checkpoints: Path) -> None:
    yaml = torch.load(demo_checkpoints / "music" / filename, weights_only=True)["xp.cfg"]
    for name, folder in converted.items():
        description = json.loads((folder / f"{Path(filename).stem}.json").read_text())
        precision = name if filename == LM_FILE or name == "float32" else "float16"
        config = OmegaConf.to_container(OmegaConf.create(yaml))
        assert description == {"format": 1, "precision": precision, "config": config}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_a_conversion_reports_what_its_precision_changes(source: Path, tmp_path: Path, precision: Precision) -> None:
    said: list[str] = []
    convert(resolve(str(source)), tmp_path / "out", lm=precision, report=said.append)
    assert said[-1] == f"The language model is stored in {precision}: its tokens are {EFFECTS[precision]}."
    assert stored_precision(resolve(str(tmp_path / "out")), LM_FILE) == precision
    assert stored_precision(resolve(str(source)), LM_FILE) == "as published"


@pytest.mark.parametrize("command", ["convert", "fetch"])
def test_the_help_explains_what_each_precision_changes(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "1000", "NO_COLOR": "1"}).output
    for precision, effect in EFFECTS.items():
        assert f"in {precision} {effect}" in shown


def test_the_demo_states_its_stored_precision() -> None:
    for folder in DEMO_CHECKPOINTS.values():
        for file in (LM_FILE, CODEC_FILE, DIFFUSION_FILE, DISCRIMINATORS_FILE):
            checkpoint = Checkpoint(folder, SHIPPED_DEMO / folder)
            if checkpoint.has(file):
                weights = load_file(checkpoint.files(file)[0]).values()
                assert stored_precision(checkpoint, file) == _smallest(weights)


def _smallest(weights: Iterable[torch.Tensor]) -> str:
    """Returns the precision that a checkpoint's dtypes show."""
    dtypes = {weight.dtype for weight in weights}
    return "int8" if torch.int8 in dtypes else "float16" if torch.float16 in dtypes else "float32"


@pytest.mark.parametrize(("precision", "bound"), [("float16", 1e-3), ("int8", 2e-2)])
def test_a_smaller_language_model_has_nearly_the_same_logits(
    precision: Precision, bound: float, converted: Converted, demo_checkpoints: Path
) -> None:
    expected = logits(resolve(str(demo_checkpoints / "music")))
    error = relative_error(logits(resolve(str(converted[precision]))), expected)
    assert 0.0 < error < bound


def test_half_precision_codec_discriminators_and_diffusion_are_nearly_the_same(
    converted: Converted, demo_checkpoints: Path
) -> None:
    ours, theirs = resolve(str(converted["int8"])), resolve(str(demo_checkpoints / "music"))
    audio = varied_audio(32_000, 2, 1, 9001)
    codes = torch.randint(0, 512, (1, 4, 30), generator=torch.Generator().manual_seed(1))
    codecs = [load_codec(checkpoint, CPU) for checkpoint in (ours, theirs)]
    judges = [load_discriminators(checkpoint)[0] for checkpoint in (ours, theirs)]
    noise = torch.randn(1, 1, 6400, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert relative_error(*(codec.decode(codes) for codec in codecs)) < 5e-3
        for name in DISCRIMINATORS:
            for result, expected in zip(judges[0][name](audio)[0], judges[1][name](audio)[0], strict=True):
                assert relative_error(result, expected) < 5e-3
        condition = codecs[1].decode_latent(codes[..., :10])
        bands = [load_diffusion(checkpoint, CPU) for checkpoint in (ours, theirs)]
        for one, other in zip(*bands, strict=True):
            sounds = [band.network(noise, 500, condition=condition).sample for band in (one, other)]
            assert relative_error(*sounds) < 5e-3
            processors = [band.schedule.sample_processor.state_dict() for band in (one, other)]
            assert all(torch.equal(processors[0][name], processors[1][name]) for name in processors[1])


def test_int8_takes_less_than_a_third_of_float32(converted: Converted) -> None:
    sizes = {name: (folder / "state_dict.safetensors").stat().st_size for name, folder in converted.items()}
    assert sizes["int8"] <= 0.3 * sizes["float32"]
    assert sizes["float16"] <= 0.51 * sizes["float32"]


def test_int8_is_only_for_the_language_models_matrices(converted: Converted) -> None:
    state = load_file(converted["int8"] / "state_dict.safetensors")
    quantized = {name for name, weight in state.items() if weight.dtype == torch.int8}
    matrices = {name for name, weight in state.items() if weight.dim() == 2}
    assert quantized == matrices
    assert {"emb.0.weight", "linears.3.weight", "transformer.layers.1.self_attn.in_proj_weight"} < quantized
    assert all(weight.dtype == torch.float16 for name, weight in state.items() if name not in quantized)
    # Every row reaches the end of int8's range, or one step less if its scale was rounded up.
    assert all(bool((state[name].abs().amax(dim=1) >= 126).all()) for name in quantized)
    for filename in ("compression_state_dict", "discriminators"):
        others = load_file(converted["int8"] / f"{filename}.safetensors")
        assert {weight.dtype for weight in others.values()} == {torch.float16}


def test_nothing_in_the_folder_is_a_pickle_and_nothing_is_unpickled(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in converted["int8"].rglob("*"):
        if path.is_file():
            assert path.suffix in (".safetensors", ".json")
            json.loads(path.read_text()) if path.suffix == ".json" else load_file(path)
            assert path.stat().st_mode & 0o444 == path.parent.stat().st_mode & 0o444  # not only for the owner

    def unpickles(*_arguments: object, **_keywords: object) -> None:
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", unpickles)
    checkpoint = resolve(str(converted["int8"]))
    for load in (load_lm, load_codec, load_diffusion):
        load(checkpoint, CPU)
    load_discriminators(checkpoint)


def test_the_pair_takes_precedence_over_audiocrafts_own_file(converted: Converted, source: Path) -> None:
    own = load_codec(resolve(str(source)), CPU).state_dict()
    for path in converted["float16"].glob("compression_state_dict.*"):
        shutil.copy(path, source)
    state = load_codec(resolve(str(source)), CPU).state_dict()
    name = "decoder.model.0.conv.conv.weight_v"
    assert torch.equal(state[name], own[name].half().float())
    assert not torch.equal(state[name], own[name])


def test_weights_that_do_not_fit_their_config_are_named(converted: Converted, tmp_path: Path) -> None:
    for filename, other in (("state_dict", "compression_state_dict"), ("compression_state_dict", "state_dict")):
        shutil.copy(converted["int8"] / f"{other}.safetensors", tmp_path / f"{filename}.safetensors")
        shutil.copy(converted["int8"] / f"{filename}.json", tmp_path)
    shutil.copytree(converted["int8"] / "t5", tmp_path / "t5")
    for load, name in ((load_lm, "state_dict"), (load_codec, "compression_state_dict")):
        with pytest.raises(CheckpointError, match=rf"^the weights in {name}\.safetensors .* don't fit its own config"):
            load(resolve(str(tmp_path)), CPU)


def test_the_command_writes_the_same_bytes_in_another_process(converted: Converted, source: Path) -> None:
    out = source.parent / "deep" / "out"
    command = [
        sys.executable,
        "-m",
        "audiocraft_triton",
        "convert",
        "--checkpoint",
        str(source),
        "--out",
        str(out),
        "--lm",
        "int8",
    ]
    told = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, timeout=120, check=True
    ).stderr
    assert contents(out) == contents(converted["int8"])
    assert "state_dict.safetensors: 0.41 MB, int8" in told
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_converting_again_changes_nothing(converted: Converted, tmp_path: Path) -> None:
    convert(resolve(str(converted["int8"])), tmp_path / "again", lm="int8", **SILENT)
    assert contents(tmp_path / "again") == contents(converted["int8"])


def test_an_incomplete_checkpoint_is_converted_as_far_as_it_goes(demo_checkpoints: Path, tmp_path: Path) -> None:
    convert(resolve(str(demo_checkpoints / "sound")), tmp_path / "sound", lm="int8", **SILENT)
    assert {path.name for path in (tmp_path / "sound").iterdir()} == {
        "state_dict.safetensors", "state_dict.json", "compression_state_dict.safetensors",
        "compression_state_dict.json", "t5",
    }  # fmt: skip
    engine = Engine(str(tmp_path / "sound"), device="cpu")
    assert engine.generate("rain", duration=0.2).codes.shape == (4, 10)
    engine.close()


def test_numbers_beyond_half_precision_stay_float32(source: Path, tmp_path: Path) -> None:
    huge, tiny = torch.full((32,), 7e4), torch.full((32,), 1e-7)
    name = "encoder.model.15.conv.conv.bias"
    for value in (huge, tiny):
        change(source / CODEC_FILE, **{name: value})
        convert(resolve(str(source)), tmp_path / "out", lm="float16", **SILENT)
        state = load_file(tmp_path / "out" / "compression_state_dict.safetensors")
        assert torch.equal(state[name], value)
        assert state["encoder.model.0.conv.conv.bias"].dtype == torch.float16
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    ("filename", "changes", "said"),
    [
        (LM_FILE, {"out_norm.weight": torch.full((64,), torch.nan)}, "out_norm.weight in state_dict.bin .* not finite"),
        (LM_FILE, {"linears.0.weight": torch.zeros(512, 64, dtype=torch.int8)}, "linears.0.weight in state_dict.bin"),
        (DISCRIMINATORS_FILE, {"step": 7}, "step in discriminators.bin .* is not a weight that can be converted"),
    ],
)
def test_a_value_that_is_not_a_weight_is_refused_and_nothing_is_left(
    filename: str, changes: dict[str, Any], said: str, source: Path, tmp_path: Path
) -> None:
    change(source / filename, **changes)
    with pytest.raises(CheckpointError, match=said):
        convert(resolve(str(source)), tmp_path / "out", lm="int8", **SILENT)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_damaged_file_leaves_nothing(source: Path, tmp_path: Path) -> None:
    whole = (source / DISCRIMINATORS_FILE).read_bytes()
    (source / DISCRIMINATORS_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is damaged"):
        convert(resolve(str(source)), tmp_path / "out", lm="int8", **SILENT)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_that_is_not_empty_stays_unchanged(demo_checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("weights that took weeks")
    with pytest.raises(InvalidRequest, match=r"out=.*: must be a new or an empty folder"):
        convert(resolve(str(demo_checkpoints / "music")), tmp_path, lm="int8", **SILENT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"has none of {', '.join(FILES)}"):
        convert(resolve(str(tmp_path)), tmp_path / "out", lm="int8", **SILENT)


def test_a_codec_given_by_name_stays_a_name(source: Path, tmp_path: Path) -> None:
    torch.save({"pretrained": "facebook/encodec_32khz", "exported": True, "version": "1.3.0"}, source / CODEC_FILE)
    convert(resolve(str(source)), tmp_path / "out", lm="int8", **SILENT)
    description = json.loads((tmp_path / "out" / "compression_state_dict.json").read_text())
    assert description == {"format": 1, "pretrained": "facebook/encodec_32khz"}
    assert load_file(tmp_path / "out" / "compression_state_dict.safetensors") == {}


def test_a_text_encoder_that_would_have_to_be_unpickled_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "t5" / "model.safetensors").rename(source / "t5" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="has no safetensors"):
        convert(resolve(str(source)), tmp_path / "out", lm="int8", **SILENT)


def test_a_text_encoder_outside_the_folder_is_refused(source: Path, tmp_path: Path) -> None:
    shutil.move(source / "t5", tmp_path / "t5")
    for name in ("../t5", str(tmp_path / "t5")):
        package = torch.load(source / LM_FILE, weights_only=True)
        package["xp.cfg"] = package["xp.cfg"].replace("name: t5", f"name: {name}")
        torch.save(package, source / LM_FILE)
        with pytest.raises(CheckpointError, match="is not in its folder"):
            convert(resolve(str(source)), tmp_path / "out", lm="int8", **SILENT)
        assert not (tmp_path / "out").exists()
        package["xp.cfg"] = package["xp.cfg"].replace(f"name: {name}", "name: t5")
        torch.save(package, source / LM_FILE)


def test_bands_without_statistics_are_converted(source: Path, tmp_path: Path) -> None:
    """A processor with upstream's `use: false` has no state."""
    package = read_state(source / DIFFUSION_FILE)
    for band in (0, 1):
        package[band]["cfg"].processor.use = False
        package[band]["processor_state"] = {}
    torch.save(package, source / DIFFUSION_FILE)
    convert(resolve(str(source)), tmp_path / "out", lm="int8", **SILENT)
    assert len(load_diffusion(resolve(str(tmp_path / "out")), CPU)) == 2


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
