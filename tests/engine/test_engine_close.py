"""A closed engine's memory, up to 25 GB on a GPU, is freed at once and not when the garbage collector runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiocraft_triton.contract.errors import Cancelled, InvalidRequest
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.lm.transformer import DecoderTransformer
from audiocraft_triton.engine.request import GenerationRequest


def complete(engine: Engine) -> None:
    engine.submit(GenerationRequest("piano", duration=0.3, chunk_seconds=0.1)).result()


def cancel(engine: Engine) -> GenerationHandle:
    handle = engine.submit(GenerationRequest("piano", duration=300.0))
    next(iter(handle))
    handle.cancel()
    with suppress(Cancelled):
        handle.result()
    return handle


def refuse(engine: Engine) -> None:
    with suppress(InvalidRequest):
        engine.generate("a " * 600)


def fail(engine: Engine) -> GenerationHandle:
    """Makes a step fail; the caller's own frame holds the engine and the error that was raised in it."""
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(DecoderTransformer, "logits", _fail)
        handle = engine.submit(GenerationRequest("piano", duration=0.3))
        with suppress(ValueError):
            handle.result()
    return handle


def _fail(_transformer: DecoderTransformer, normed: torch.Tensor) -> None:
    raise ValueError(f"{len(normed)} rows broke")


@pytest.mark.parametrize("use", [complete, cancel, refuse, fail])
def test_a_closed_engine_holds_no_tensors_even_if_a_handle_is_alive(
    demo_checkpoints: Path, use: Callable[..., Any]
) -> None:
    assert demo_checkpoints.is_dir()
    with _without_garbage_collector():
        before = {id(tensor) for tensor in _tensors()}
        engine = Engine("demo", device="cpu", slots=2)
        handle = use(engine)
        made = [weakref.ref(tensor) for tensor in _tensors() if id(tensor) not in before]
        assert sum(tensor.numel() for reference in made if (tensor := reference()) is not None) > 2_000_000
        engine.close()
        del engine
        alive = [tuple(tensor.shape) for reference in made if (tensor := reference()) is not None]
        assert not alive
    assert handle is None or handle.ended


def test_an_error_of_the_engine_says_where_it_happened(demo_checkpoints: Path) -> None:
    """Its traceback is text, because frames would keep the objects that they used."""
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=1)
    handle = fail(engine)
    engine.close()
    with pytest.raises(ValueError, match="2 rows broke") as caught:
        handle.result()
    assert "in _fail" in str(caught.value.__cause__)
    assert "in step" in str(caught.value.__cause__)


def test_a_closed_engine_still_has_its_attributes_and_metrics(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=1)
    clip = engine.generate("piano", duration=0.1)
    engine.close()
    engine.close()
    assert (engine.sample_rate, engine.channels, engine.frame_rate, engine.card) == (32_000, 1, 50.0, 512)
    assert not engine.takes_melody
    assert engine.metrics.snapshot().completed == 1
    assert np.isfinite(clip.waveform).all()


@contextmanager
def _without_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _tensors() -> list[torch.Tensor]:
    return [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
