"""The Triton configs parse, and agree with the code and with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from audiocraft_triton.contract.models import DISCRIMINATORS, EXPORTED_MODELS, MODELS, Role

REPOSITORY = Path(__file__).resolve().parent.parent.parent / "model_repository"


def of_role(*roles: Role) -> set[str]:
    return {name for name, role in MODELS.items() if role in roles}


PYTHON_MODELS = of_role("unary", "stream", "diffusion", "files", "scores")
GENERATION_MODELS = of_role("unary", "stream")
ENSEMBLES = of_role("ensemble")
# Everything that computes on weights; the others are frontends, readers and writers.
GPU_MODELS = of_role("stream", "diffusion", "codec", "discriminator")


def read(name: str) -> ModelConfig:
    return text_format.Parse((REPOSITORY / name / "config.pbtxt").read_text(), ModelConfig())


CONFIGS = {folder.parent.name: read(folder.parent.name) for folder in REPOSITORY.glob("*/config.pbtxt")}


def datatype(tensor: Any) -> str:
    """Returns the datatype's name in requests: BYTES for the config's STRING."""
    name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def rank(model: str, tensor: Any) -> int:
    """Returns the number of dimensions of the tensor, including the batch's."""
    return len(tensor.dims) + (CONFIGS[model].max_batch_size > 0)


def test_the_repository_holds_exactly_the_models_of_the_contract() -> None:
    assert set(CONFIGS) == set(MODELS)
    assert {folder.name for folder in REPOSITORY.iterdir() if folder.is_dir()} == set(CONFIGS)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_model_is_named_as_its_folder_and_has_a_version(name: str) -> None:
    assert CONFIGS[name].name == name
    assert (REPOSITORY / name / "1").is_dir()


def test_each_model_has_the_backend_of_its_role() -> None:
    assert {name for name, config in CONFIGS.items() if config.backend == "python"} == PYTHON_MODELS
    assert {name for name, config in CONFIGS.items() if config.backend == "pytorch"} == set(EXPORTED_MODELS)
    assert {name for name, config in CONFIGS.items() if config.platform == "ensemble"} == ENSEMBLES


@pytest.mark.parametrize("name", sorted(PYTHON_MODELS))
def test_a_python_model_has_its_code(name: str) -> None:
    assert "TritonPythonModel" in (REPOSITORY / name / "1" / "model.py").read_text()


@pytest.mark.parametrize("name", sorted(GENERATION_MODELS))
def test_only_the_stream_models_are_decoupled(name: str) -> None:
    assert CONFIGS[name].model_transaction_policy.decoupled is (MODELS[name] == "stream")
    assert CONFIGS[name].max_batch_size == 0


@pytest.mark.parametrize("suffix", ["", "_stream"])
def test_music_and_sound_generation_have_the_same_tensors(suffix: str) -> None:
    music, sound = CONFIGS[f"musicgen{suffix}"], CONFIGS[f"audiogen{suffix}"]
    assert list(music.output) == list(sound.output)
    assert len(music.output) >= 4


def test_a_unary_frontend_has_its_stream_models_outputs_and_the_file() -> None:
    for name in ("musicgen", "audiogen"):
        unary = {row.name: (datatype(row), list(row.dims)) for row in CONFIGS[name].output}
        stream = {row.name: (datatype(row), list(row.dims)) for row in CONFIGS[f"{name}_stream"].output}
        assert unary == {**stream, "audio": ("BYTES", [1])}


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - ENSEMBLES))
def test_models_with_weights_use_a_gpu_if_there_is_one_and_the_others_never_do(name: str) -> None:
    kinds = [model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind) for group in CONFIGS[name].instance_group]
    assert kinds == ["KIND_AUTO" if name in GPU_MODELS else "KIND_CPU"]


@pytest.mark.parametrize("name", EXPORTED_MODELS)
def test_an_exported_model_answers_a_request_before_it_is_ready(name: str) -> None:
    config = CONFIGS[name]
    assert len(config.model_warmup) >= 1
    for warmup in config.model_warmup:
        assert warmup.batch_size >= 1
        assert set(warmup.inputs) == {row.name for row in config.input}
        for row in config.input:
            given = warmup.inputs[row.name]
            assert given.data_type == row.data_type
            assert len(given.dims) == len(row.dims)
            assert all(wanted in (-1, size) for wanted, size in zip(row.dims, given.dims, strict=True))


@pytest.mark.parametrize("name", sorted(of_role("codec", "discriminator", "diffusion")))
def test_models_with_weights_batch_across_callers(name: str) -> None:
    assert CONFIGS[name].max_batch_size > 1
    assert CONFIGS[name].HasField("dynamic_batching")


def test_the_three_discriminators_have_the_same_tensors() -> None:
    mpd, msd, msstftd = (CONFIGS[name] for name in DISCRIMINATORS)
    for other in (msd, msstftd):
        assert list(other.input) == list(mpd.input)
        assert list(other.output) == list(mpd.output)
        assert other.max_batch_size == mpd.max_batch_size
    assert mpd.max_batch_size * 2 >= 300  # windows of 2 s: the longest clip fits in one batch


STEPS = [(name, step) for name in sorted(ENSEMBLES) for step in CONFIGS[name].ensemble_scheduling.step]
each_step = pytest.mark.parametrize(("name", "step"), STEPS, ids=[f"{name}-{step.model_name}" for name, step in STEPS])


def test_every_ensemble_has_steps() -> None:
    assert {name for name, _ in STEPS} == ENSEMBLES


@each_step
def test_a_step_uses_a_model_that_exists_and_its_tensors(name: str, step: Any) -> None:
    assert step.model_name in CONFIGS, name
    model = CONFIGS[step.model_name]
    assert set(step.input_map) <= {row.name for row in model.input}
    assert set(step.output_map) <= {row.name for row in model.output}


@each_step
def test_a_step_is_given_every_input_that_its_model_requires(name: str, step: Any) -> None:
    required = {row.name for row in CONFIGS[step.model_name].input if not row.optional}
    assert required <= set(step.input_map), name


@pytest.mark.parametrize("name", sorted(ENSEMBLES))
def test_tensors_keep_their_datatype_and_rank_through_an_ensemble(name: str) -> None:
    ensemble = CONFIGS[name]
    known = {row.name: (datatype(row), rank(name, row)) for row in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = CONFIGS[step.model_name]
        for row in model.input:
            if row.name in step.input_map:
                assert known[step.input_map[row.name]] == (datatype(row), rank(step.model_name, row)), row.name
        for row in model.output:
            if row.name in step.output_map:
                assert step.output_map[row.name] not in known, "one tensor, two sources"
                known[step.output_map[row.name]] = (datatype(row), rank(step.model_name, row))
    for row in ensemble.output:
        assert known[row.name] == (datatype(row), rank(name, row)), row.name


@pytest.mark.parametrize("name", sorted(ENSEMBLES))
def test_an_ensembles_optional_inputs_are_optional_for_the_steps_that_take_them(name: str) -> None:
    takers: dict[str, int] = {}
    for step in CONFIGS[name].ensemble_scheduling.step:
        for row in CONFIGS[step.model_name].input:
            source = step.input_map.get(row.name)
            for given in CONFIGS[name].input:
                if given.name == source:
                    takers[given.name] = takers.get(given.name, 0) + 1
                    assert row.optional or not given.optional, f"{given.name} -> {step.model_name}.{row.name}"
    assert set(takers) == {given.name for given in CONFIGS[name].input}  # and every input is used


def test_every_generation_engine_names_its_checkpoint() -> None:
    served = {
        name: CONFIGS[name].parameters["checkpoint"].string_value
        for name in ("musicgen_stream", "audiogen_stream", "multiband_diffusion")
    }
    assert served == {"musicgen_stream": "demo", "audiogen_stream": "demo-sound", "multiband_diffusion": "demo"}
