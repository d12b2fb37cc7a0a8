"""Continuous batching: requests enter and leave at any step, and other requests never change a clip."""

from __future__ import annotations

import gc
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from audiocraft_triton.contract.errors import Cancelled, DeadlineExceeded, InvalidRequest
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.lm.slots import Slots
from audiocraft_triton.engine.request import GenerationRequest

FAILING = 9.875
PATIENCE = 60  # seconds; reached only if something hangs


@pytest.fixture
def engine(demo_checkpoints: Any) -> Iterator[Engine]:
    """An engine for one test, with 8 slots."""
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=8, max_waiting=1000)
    yield engine
    engine.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits until another thread makes the condition true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


def mixed_request(seed: int, duration: float) -> GenerationRequest:
    """Makes requests that differ in all parameters."""
    chance = random.Random(seed)
    return GenerationRequest(
        text=chance.choice(["", "calm piano", "fast rock with drums and distorted electric guitar", "jazz"]),
        duration=duration,
        temperature=chance.choice([0.0, 0.7, 1.0, 1.5]),
        top_k=chance.choice([0, 1, 50, 250, 512]),
        top_p=chance.choice([0.0, 0.0, 0.5, 0.95]),
        cfg_coef=chance.choice([1.0, 1.0, 3.0, 7.5]),
        seed=seed,
        chunk_seconds=chance.choice([0.1, 0.5, 10.0]),
    )


def test_a_request_alone_equals_itself_among_seven_that_come_and_go(engine: Engine) -> None:
    watched = [mixed_request(seed, 1.5) for seed in (3, 7, 12, 40)]
    alone = [engine.submit(request).result() for request in watched]
    chance = random.Random(5)
    stop = threading.Event()

    def other() -> None:
        while not stop.is_set():
            generation = engine.submit(mixed_request(chance.randrange(10**6), chance.uniform(0.1, 1.0)))
            if chance.random() < 0.3:
                time.sleep(chance.uniform(0, 0.02))
                generation.cancel()
            for _ in _chunks(generation):
                pass

    with ThreadPoolExecutor(7) as threads:
        others = [threads.submit(other) for _ in range(7)]
        try:
            for request, expected in zip(watched, alone, strict=True):
                clip = engine.submit(request).result()
                np.testing.assert_array_equal(clip.codes, expected.codes)
                np.testing.assert_allclose(clip.waveform, expected.waveform, atol=1e-5)
        finally:
            stop.set()
        for done in others:
            done.result(PATIENCE)


def _chunks(generation: GenerationHandle) -> Iterator[Any]:
    with suppress(Cancelled):
        yield from generation


def test_the_slot_of_a_request_does_not_change_its_clip(engine: Engine) -> None:
    request = mixed_request(9, 0.6)
    expected = engine.submit(request).result().codes
    others = [engine.submit(GenerationRequest(duration=100.0)) for _ in range(5)]
    for other in others:
        next(iter(other))
    np.testing.assert_array_equal(engine.submit(request).result().codes, expected)
    others[1].cancel()
    until(lambda: others[1].ended)
    np.testing.assert_array_equal(engine.submit(request).result().codes, expected)
    for other in others:
        other.cancel()


def test_a_cancelled_request_leaves_within_three_steps(engine: Engine) -> None:
    generation = engine.submit(GenerationRequest(duration=300.0))
    next(iter(generation))
    generation.cancel()
    before = engine.metrics.snapshot().frames
    with pytest.raises(Cancelled):
        generation.result()
    until(lambda: engine.metrics.snapshot().active == 0)
    after = engine.metrics.snapshot()
    assert after.frames - before <= 3
    assert after.cancelled == 1


def test_a_request_that_is_cancelled_while_waiting_never_gets_a_slot(engine: Engine) -> None:
    running = [engine.submit(GenerationRequest(duration=300.0)) for _ in range(8)]
    for generation in running:
        next(iter(generation))
    waiting = engine.submit(GenerationRequest(duration=300.0))
    assert not waiting.ended
    waiting.cancel()
    with pytest.raises(Cancelled):
        waiting.result()
    assert not any(generation.ended for generation in running)
    for generation in running:
        generation.cancel()
    until(lambda: engine.metrics.snapshot().active == 0)
    assert engine.metrics.snapshot().cancelled == 9


def test_a_request_beyond_its_timeout_frees_its_slot(engine: Engine) -> None:
    other = mixed_request(2, 1.0)
    expected = engine.submit(other).result().codes
    late = engine.submit(GenerationRequest(duration=300.0, timeout=0.2))
    handle = engine.submit(other)
    with pytest.raises(DeadlineExceeded, match=r"not complete within its timeout of 0\.2 seconds"):
        late.result()
    np.testing.assert_array_equal(handle.result().codes, expected)
    until(lambda: engine.metrics.snapshot().active == 0)
    assert engine.metrics.snapshot().expired == 1


def test_requests_enter_in_the_order_of_their_arrival(demo_checkpoints: Any) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=1)
    order: list[int] = []
    requests = [engine.submit(GenerationRequest(duration=3.0, seed=seed), decode=False) for seed in range(6)]

    def watch(number: int) -> None:
        requests[number].result()
        order.append(number)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(watch, range(6)))
    engine.close()
    assert order == sorted(order)


def test_a_text_of_too_many_tokens_is_refused_without_effect_on_other_requests(engine: Engine) -> None:
    other = mixed_request(4, 0.5)
    expected = engine.submit(other).result().codes
    handle = engine.submit(other)
    with pytest.raises(InvalidRequest, match=r"has 601 tokens, at most 512 are allowed"):
        engine.generate("a " * 600, duration=1.0)
    np.testing.assert_array_equal(handle.result().codes, expected)
    assert engine.generate("a " * 511, duration=0.1).codes.shape == (4, 5)


def test_a_request_is_counted_before_its_caller_gets_the_clip(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = engine.metrics.ended

    def slowly(how: str) -> None:
        time.sleep(0.2)  # as if another program kept the thread from running
        ended(how)

    monkeypatch.setattr(engine.metrics, "ended", slowly)
    engine.generate("folk", duration=0.1)
    assert engine.metrics.snapshot().completed == 1


def test_a_failing_step_fails_only_the_requests_in_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = engine.generate("folk", seed=1, duration=0.3).codes
    step = Slots.step_occupied
    calls = 0

    def failing(slots: Slots) -> None:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise RuntimeError("the device failed")
        step(slots)

    monkeypatch.setattr(Slots, "step_occupied", failing)
    monkeypatch.setattr(Slots, "step", failing)
    with pytest.raises(RuntimeError, match="the device failed"):
        engine.generate("folk", seed=1, duration=0.3)
    np.testing.assert_array_equal(engine.generate("folk", seed=1, duration=0.3).codes, expected)
    snapshot = engine.metrics.snapshot()
    assert (snapshot.completed, snapshot.failed) == (2, 1)


def test_a_failure_in_passing_on_frames_fails_only_the_requests_in_the_step(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = engine.generate("folk", seed=1, duration=0.3).codes
    with monkeypatch.context() as broken:
        broken.setattr(engine._scheduler._sound, "put", _fail)
        with pytest.raises(RuntimeError, match="it broke"):
            engine.generate("folk", seed=1, duration=0.3)
    np.testing.assert_array_equal(engine.generate("folk", seed=1, duration=0.3).codes, expected)


def test_a_failing_codec_fails_only_its_clips(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = engine.generate("folk", seed=1, duration=0.3).codes
    with monkeypatch.context() as broken:
        broken.setattr(engine._scheduler._sound._codec, "decode", _fail)
        with pytest.raises(RuntimeError, match="it broke"):
            engine.generate("folk", seed=1, duration=0.3)
    np.testing.assert_array_equal(engine.generate("folk", seed=1, duration=0.3).codes, expected)


def test_an_engine_that_cannot_continue_ends_all_requests(
    demo_checkpoints: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=1)
    running = engine.submit(GenerationRequest(duration=300.0))
    next(iter(running))
    waiting = engine.submit(GenerationRequest(duration=1.0))
    monkeypatch.setattr(engine._scheduler._slots, "step_occupied", _fail)
    monkeypatch.setattr(engine._scheduler._slots, "release", _fail)
    for generation in (running, waiting):
        with pytest.raises(RuntimeError, match="it broke"):
            generation.result()
    with pytest.raises(RuntimeError, match="the engine failed: it broke"):
        engine.generate(duration=0.1)
    engine.close()


def _fail(*_arguments: Any, **_options: Any) -> None:
    raise RuntimeError("it broke")


def test_five_hundred_random_requests_leave_all_slots_free_and_no_memory_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(11)
    occupy = Slots.occupy

    def sometimes_failing(slots: Slots, slot: int, conditions: Any, **sampling: Any) -> None:
        if sampling["temperature"] == FAILING:
            raise RuntimeError("there was no memory left")
        occupy(slots, slot, conditions, **sampling)

    monkeypatch.setattr(Slots, "occupy", sometimes_failing)

    def one(number: int) -> str:
        kind = chance.choice(["complete", "complete", "cancel", "expire", "fail", "abandon"])
        request = mixed_request(number, chance.uniform(0.1, 0.6))
        timeout = 0.01 if kind == "expire" else None
        request = replace(request, timeout=timeout, temperature=FAILING if kind == "fail" else 1.0)
        generation = engine.submit(request)
        if kind == "cancel":
            time.sleep(chance.uniform(0, 0.05))
            generation.cancel()
        if kind == "abandon":  # its caller never reads it, but it must end
            return kind
        with suppress(Cancelled, DeadlineExceeded, RuntimeError):
            generation.result()
        return kind

    def ended() -> list[int]:
        now = engine.metrics.snapshot()
        return [now.completed, now.cancelled, now.expired, now.failed]

    def round_of(numbers: range) -> tuple[int, int]:
        """Returns Python's allocated bytes and the number of tensors after all requests and one fixed last clip."""
        with ThreadPoolExecutor(12) as threads:
            assert len(set(threads.map(one, numbers))) == 5
        until(lambda: sum(ended()) == numbers.stop)
        engine.generate(duration=0.3, seed=1)
        until(lambda: engine.metrics.snapshot().active == 0)
        gc.collect()
        tensors = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
        return tracemalloc.get_traced_memory()[0], tensors

    tracemalloc.start()
    bytes_before, tensors_before = round_of(range(100))  # caches fill
    bytes_after, tensors_after = round_of(range(101, 601))
    tracemalloc.stop()
    assert min(ended()) > 10
    assert bytes_after - bytes_before < 2_000_000
    assert tensors_after <= tensors_before + 10
    assert engine._scheduler._free == set(range(8))
    assert not engine._scheduler._running


def test_a_clip_that_fills_its_window_does_not_change_other_clips(engine: Engine) -> None:
    """A free slot is computed together with the others, so its column must exist."""
    window = 30.0  # the window of the seeded checkpoint and of Meta's
    longer = GenerationRequest("fast rock", duration=window + 1.0, seed=2, chunk_seconds=10.0)
    alone = engine.submit(longer).result()
    full = engine.submit(GenerationRequest("calm piano", duration=window, seed=1, chunk_seconds=10.0))
    other = engine.submit(longer)
    assert full.result().waveform.shape[1] == window * engine.sample_rate
    np.testing.assert_array_equal(other.result().codes, alone.codes)
