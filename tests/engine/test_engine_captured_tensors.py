"""A CUDA graph's tensors are checked before it is replayed. The check itself needs no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audiocraft_triton.engine.device.cuda import CapturedTensors
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.request import GenerationRequest


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {"cache": torch.zeros(2, 3, dtype=torch.float16), "keys": torch.zeros(4, dtype=torch.int64)}


def test_writing_to_the_tensors_is_allowed(tensors: dict[str, torch.Tensor]) -> None:
    captured = CapturedTensors(lambda: tensors)
    tensors["cache"].add_(1)
    tensors["keys"][2] = 7
    captured.check()


def test_a_replaced_tensor_is_refused_with_a_remedy(tensors: dict[str, torch.Tensor]) -> None:
    captured = CapturedTensors(lambda: tensors)
    tensors["cache"] = tensors["cache"].clone()
    with pytest.raises(RuntimeError) as caught:
        captured.check()
    message = str(caught.value)
    assert message.startswith("a CUDA graph was captured for cache as float16 [2, 3] on cpu at 0x")
    for remedy in (
        "a new Engine",
        "Engine(cuda_graphs=False)",
        'cuda_graphs: "false"',
        "AUDIOCRAFT_MUSICGEN_CUDA_GRAPHS",
    ):
        assert remedy in message


@pytest.mark.parametrize(
    "changed",
    [torch.zeros(2, 4, dtype=torch.float16), torch.zeros(2, 3, dtype=torch.float32), torch.zeros(2, 3, device="meta")],
    ids=["shape", "dtype", "device"],
)
def test_another_shape_dtype_or_device_is_refused(tensors: dict[str, torch.Tensor], changed: torch.Tensor) -> None:
    captured = CapturedTensors(lambda: tensors)
    tensors["cache"] = changed
    with pytest.raises(RuntimeError, match=r"for cache as float16 .* now"):
        captured.check()


def test_a_module_that_was_converted_is_refused() -> None:
    module = torch.nn.Linear(3, 2)
    weights = dict(module.named_parameters())
    captured = CapturedTensors(weights.copy)
    captured.check()
    module.half()  # keeps the parameters and replaces their data
    with pytest.raises(RuntimeError, match="for weight as float32"):
        captured.check()


def test_a_tensor_that_is_gone_is_refused(tensors: dict[str, torch.Tensor]) -> None:
    captured = CapturedTensors(lambda: tensors)
    del tensors["keys"]
    with pytest.raises(RuntimeError, match=r"^keys, for which a CUDA graph was captured, is gone"):
        captured.check()


def test_an_engine_never_replaces_the_tensors_of_its_steps(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=2)
    slots = engine._scheduler._slots
    captured = CapturedTensors(slots.tensors)
    assert {"sequence", "column", "cache.sequences", "cache.conditions", "sampling.top_k"} <= set(slots.tensors())
    for handle in engine.generate_many(
        GenerationRequest("piano", duration=0.2, top_p=0.9, seed=seed) for seed in range(5)
    ):
        handle.result()
    prompt = engine.generate("piano", duration=29.9).waveform
    engine.generate("piano", duration=30.5, continuation=prompt)  # beyond the window
    captured.check()
    engine.close()
