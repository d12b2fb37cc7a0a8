"""Any number of requests to one engine: in order, never refused for their number, each with its own errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocraft_triton.contract.errors import InvalidRequest, Overloaded
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.request import GenerationRequest

SLOTS, MAX_WAITING = 2, 4
ADMITTED = SLOTS + MAX_WAITING


@pytest.fixture
def engine(demo_checkpoints: Path) -> Iterator[Engine]:
    """A small engine for one test."""
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=SLOTS, max_waiting=MAX_WAITING)
    yield engine
    engine.close()


def request(seed: int, **parameters: Any) -> GenerationRequest:
    return GenerationRequest(**{"text": "folk", "duration": 0.1 + 0.1 * (seed % 3), "seed": seed, **parameters})


def test_more_requests_than_the_engine_admits_come_in_order_each_as_it_would_alone(engine: Engine) -> None:
    requests = [request(seed) for seed in range(5 * ADMITTED)]
    with pytest.raises(Overloaded):
        _submit_all(engine, iter(requests))
    handles = list(engine.generate_many(iter(requests)))
    assert [handle.request for handle in handles] == requests
    clips = [handle.result() for handle in handles]
    for handle, clip in zip(handles, clips, strict=True):
        assert clip.waveform.shape[1] == round(handle.request.duration * 32_000)
    for handle, clip in list(zip(handles, clips, strict=True))[::7]:
        np.testing.assert_array_equal(clip.codes, engine.submit(handle.request).result().codes)


def test_all_slots_are_busy_meanwhile(engine: Engine) -> None:
    for handle in engine.generate_many(request(seed, duration=1.0) for seed in range(12)):
        handle.result()
    each = 53  # columns of a clip of 50 frames
    assert len(engine.metrics.snapshot().step_seconds) < 0.75 * 12 * each


def test_an_error_is_raised_by_its_own_requests_handle_and_the_others_continue(engine: Engine) -> None:
    wrong = {3: {"top_k": 513}, 5: {"text": "a " * 600}, 8: {"timeout": 1e-6}}
    outcomes = []
    for handle in engine.generate_many(request(seed, **wrong.get(seed, {})) for seed in range(12)):
        try:
            outcomes.append(handle.result().codes.shape[0])
        except (InvalidRequest, TimeoutError, RuntimeError) as error:
            outcomes.append(type(error).__name__)
    expected: list[Any] = [4] * 12
    expected[3] = expected[5] = "InvalidRequest"
    expected[8] = "DeadlineExceeded"
    assert outcomes == expected


def test_other_callers_keep_places_in_the_admission_queue(engine: Engine) -> None:
    many = engine.generate_many(request(seed, duration=2.0) for seed in range(12))
    first = next(many)
    others = [engine.submit(request(100 + index)) for index in range(MAX_WAITING // 2)]
    with pytest.raises(Overloaded):  # no place is left
        _submit_all(engine, (request(seed, duration=3.0) for seed in itertools.count()))
    shapes = [handle.result().codes.shape for handle in (first, *many)]
    assert shapes == [(4, 100)] * 12
    for other in others:
        other.result()


def test_requests_are_read_as_handles_are_taken_and_leaving_cancels_those_read_ahead(engine: Engine) -> None:
    taken = []

    def endless() -> Iterator[GenerationRequest]:
        for seed in itertools.count():
            taken.append(seed)
            yield request(seed, duration=300.0 if seed > 2 else 0.1)

    many = engine.generate_many(endless(), decode=False)
    for handle, seed in zip(itertools.islice(many, 3), range(3), strict=True):
        assert (handle.seed, handle.result().waveform.shape) == (seed, (1, 0))
    many.close()  # type: ignore[attr-defined]
    assert len(taken) <= 3 + ADMITTED
    assert engine.generate("folk", duration=0.1).codes.shape == (4, 5)
    assert engine.metrics.snapshot().completed == 4


def test_every_handle_of_a_closed_engine_raises(engine: Engine) -> None:
    engine.close()
    for handle in engine.generate_many([request(1), request(2)]):
        with pytest.raises(RuntimeError, match="the engine is closed"):
            handle.result()


def _submit_all(engine: Engine, requests: Iterator[GenerationRequest]) -> None:
    for one in requests:
        engine.submit(one, decode=False)
