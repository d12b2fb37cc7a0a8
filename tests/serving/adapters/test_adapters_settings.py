"""Settings of the stream models: from config.pbtxt, overridden by the environment, and checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
STREAM_MODELS = ("musicgen_stream", "audiogen_stream")


def arguments(model: str) -> dict[str, str]:
    """Returns the arguments that Triton passes to `initialize`."""
    config = text_format.Parse((REPOSITORY / model / "config.pbtxt").read_text(), ModelConfig())
    return {
        "model_name": model,
        "model_repository": str(REPOSITORY / model),
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_config": json_format.MessageToJson(config, preserving_proto_field_name=True),
    }


class Built(Exception):
    """Raised instead of building an engine."""


@pytest.fixture
def engine_options(triton: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the arguments with which a stream model makes its engine."""
    assert triton.warnings == []
    from audiocraft_triton.serving.adapters import generation_stream

    def engine(_checkpoint: str, **options: Any) -> None:
        raise Built(options)

    def options_of(model: str) -> dict[str, Any]:
        with pytest.raises(Built) as built:
            generation_stream.GenerationStreamModel().initialize(arguments(model))
        options: dict[str, Any] = built.value.args[0]
        return options

    monkeypatch.setattr(generation_stream, "Engine", engine)
    monkeypatch.setattr(sys, "setswitchinterval", lambda _seconds: None)
    return options_of


@pytest.mark.parametrize("model", STREAM_MODELS)
def test_cuda_graphs_are_on_and_the_environment_turns_them_off(
    engine_options: Any, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine_options(model)["cuda_graphs"] is True
    monkeypatch.setenv(f"AUDIOCRAFT_{model.removesuffix('_stream').upper()}_CUDA_GRAPHS", "false")
    assert engine_options(model)["cuda_graphs"] is False


def test_a_word_that_is_neither_true_nor_false_is_refused(triton: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert triton.warnings == []
    from audiocraft_triton.serving.adapters.settings import Settings

    settings = Settings(arguments("musicgen_stream"))
    assert settings.flag("multiband_diffusion")
    monkeypatch.setenv("AUDIOCRAFT_MUSICGEN_MULTIBAND_DIFFUSION", "False")
    with pytest.raises(ValueError, match='multiband_diffusion=\'False\' of musicgen_stream: must be "true" or "false"'):
        settings.flag("multiband_diffusion")
