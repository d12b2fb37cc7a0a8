"""Continuous batching: decides which request occupies which slot, when it enters and when it leaves.

One thread admits waiting requests into free slots, runs one step for all of them, and passes complete frames on to be
decoded. Between two steps it checks every request: one that is cancelled or past its timeout leaves at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial

import torch

from audiocraft_triton.contract.errors import Cancelled, DeadlineExceeded
from audiocraft_triton.engine.codec.sound import (
    Clip,
    DiffusionDecoder,
    Frames,
    SoundDecoder,
)
from audiocraft_triton.engine.device.cpu_threads import settle_step_thread
from audiocraft_triton.engine.device.cuda import (
    CapturedGraph,
    new_stream,
    on_stream,
    recorded_event,
)
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.lm.randomness import draw_keys
from audiocraft_triton.engine.lm.slots import Conditions, Slots
from audiocraft_triton.engine.model import GenerativeModel
from audiocraft_triton.engine.scheduling.admission_queue import AdmissionQueue
from audiocraft_triton.engine.scheduling.metrics import EngineMetrics
from audiocraft_triton.engine.scheduling.preparation import Prepared
from audiocraft_triton.engine.scheduling.windows import Window

ADMISSIONS_PER_STEP = 4
"""Most requests that enter between two steps while others run, because preparing a slot delays those."""
STEPS_IN_FLIGHT = 2
"""Steps that the host may be ahead of a GPU. One keeps the GPU busy; a cancelled request leaves within three."""


@dataclass(slots=True)
class Running:
    """A request in a slot.

    Attributes:
        generation: the request's handle.
        slot: index of the slot.
        clip: the request's sound.
        draw_keys: int64 [frames, codebooks], see `randomness`.
        plan: the remaining windows, the current one first.
        conditions: conditions of the current window.
        column: the next column to fill in the current window.
        columns: number of columns of the current window.
        complete: frames of the clip that have all their codebooks.
    """

    generation: GenerationHandle
    slot: int
    clip: Clip
    draw_keys: torch.Tensor
    plan: deque[Window]
    conditions: Conditions
    column: int = 0
    columns: int = 0
    complete: int = 0


class Scheduler:
    """Runs requests on one device.

    Attributes:
        waiting: queue in which requests enter.
        metrics: the engine's metrics.

    Args:
        model: the model that generates.
        slots: state of all slots on the device.
        max_waiting: requests that may wait in addition to those in slots.
        diffusion: decoder for `decoder="multiband_diffusion"`.
        graphs: on a GPU, whether steps are captured as a CUDA graph or, for comparison, run eagerly.
    """

    def __init__(
        self,
        model: GenerativeModel,
        slots: Slots,
        max_waiting: int,
        diffusion: DiffusionDecoder | None,
        graphs: bool,
    ) -> None:
        self.metrics = EngineMetrics(slots.count, model.codec.frame_rate)
        self._model = model
        self._slots = slots
        self._running: dict[int, Running] = {}
        self._free = set(range(slots.count))
        self.waiting = AdmissionQueue(max_waiting, slots.count)
        # The callbacks refer only to the metrics: a reference to the scheduler would be a cycle, which would keep a
        # closed engine's memory until the garbage collector runs.
        self._end = partial(_end, self.metrics)
        self._sound = SoundDecoder(model, diffusion, partial(_first_chunk, self.metrics), self._end)
        self._stream = new_stream(model.transformer.device)
        self._steps = 0
        self._in_flight: deque[torch.cuda.Event] = deque()
        self._captured: CapturedGraph | None = None
        if self._stream is not None and graphs:
            with torch.inference_mode():
                self._captured = CapturedGraph(slots.step, self._stream, slots.tensors)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finishes running and waiting requests, then stops."""
        self.waiting.close()
        self._thread.join()
        self._sound.close()

    @torch.inference_mode()
    def _run(self) -> None:
        if self._stream is None:
            settle_step_thread(self._model.transformer.weights.parameters)
        try:
            with on_stream(self._stream):
                while self._running or self.waiting.wait():
                    self._drop_stopped()
                    self._admit()
                    self._report_occupancy()
                    if self._running:
                        self._advance()
                        self._report_occupancy()
        except Exception as error:  # nothing works any more, for example without a device: no caller may wait for ever
            self.waiting.close(because=error)
            self.waiting.drop(partial(self._fail, error))
            for running in self._running.values():
                self._end(running.generation, error)

    def _fail(self, error: BaseException, generation: GenerationHandle) -> bool:
        self._end(generation, error)
        return True

    def _drop_stopped(self) -> None:
        """Frees the places of requests that must not continue."""
        for running in list(self._running.values()):
            if self._must_stop(running.generation):
                self._release(running)
        self.waiting.drop(self._must_stop)

    def _must_stop(self, generation: GenerationHandle) -> bool:
        if (reason := generation.stopped()) is not None:
            self._end(generation, reason)
        return generation.ended

    def _admit(self) -> None:
        """Fills free slots with waiting requests, the one that has waited longest first."""
        most = ADMISSIONS_PER_STEP if self._running else self._slots.count
        for _ in range(most):
            if not self._free or (entry := self.waiting.next()) is None:
                return
            generation, prepared = entry
            slot = min(self._free)
            self._free.remove(slot)
            try:
                self._enter(generation, prepared, slot)
            except Exception as error:  # its own caller receives it; the others continue
                self._running.pop(slot, None)
                self._slots.release(slot)
                self._free.add(slot)
                self.waiting.give_back()
                self._end(generation, error)

    def _enter(self, generation: GenerationHandle, prepared: Prepared, slot: int) -> None:
        keys = draw_keys(generation.seed, prepared.frames, self._model.transformer.weights.codebooks)
        clip = self._sound.open(generation, prepared.frames)
        running = Running(generation, slot, clip, keys, prepared.plan, prepared.conditions)
        self._occupy(running)
        self._begin_window(running, prepared.prompt)
        self._running[slot] = running

    def _occupy(self, running: Running) -> None:
        request = running.generation.request
        top_k = request.top_k_of(self._model.transformer.weights.card)
        self._slots.occupy(
            running.slot, running.conditions,
            temperature=request.temperature, top_k=top_k, top_p=request.top_p, cfg_coef=request.cfg_coef,
        )  # fmt: skip

    def _begin_window(self, running: Running, prompt: torch.Tensor) -> None:
        pattern, window = self._model.pattern, running.plan[0]
        running.columns = pattern.columns(window.frames)
        running.column = pattern.first_column(window.prompt)
        frame = (pattern.frame_of(running.columns) + window.offset).clamp(0, len(running.draw_keys) - 1)
        self._slots.begin(
            running.slot,
            pattern.interleave(prompt, window.frames),
            running.draw_keys.gather(0, frame),
            running.column,
            running.conditions,
        )

    def _advance(self) -> None:
        """Runs one step for all slots and updates each request."""
        started = time.perf_counter()
        try:
            self._step()
            new_frames = self._go_on()
        except Exception as error:  # no running request's result can be trusted; waiting ones may succeed
            for running in list(self._running.values()):
                self._end(running.generation, error)
                self._release(running)
        else:
            self.metrics.step(time.perf_counter() - started, new_frames)

    def _go_on(self) -> int:
        """Updates every running request after a step; returns how many new frames are complete."""
        self._steps += 1
        new_frames = 0
        for running in list(self._running.values()):
            running.column += 1
            window = running.plan[0]
            complete = window.offset + min(self._model.pattern.complete_frames(running.column), window.frames)
            new_frames += complete > max(running.complete, window.offset + window.prompt)
            running.complete = complete
            if running.column == running.columns:
                self._end_window(running)
            else:
                self._hand_over(running, running.clip.due(self._steps, complete))
        return new_frames

    def _step(self) -> None:
        """Runs the model; on a GPU this returns while the model runs.

        If the number of rows would change how a row is rounded, all slots are computed.
        """
        if self._captured is not None:
            self._captured()
        elif self._model.transformer.weights.rows_independent:
            self._slots.step_occupied()
        else:
            self._slots.step()
        if self._stream is not None:
            self._in_flight.append(recorded_event())
            if len(self._in_flight) > STEPS_IN_FLIGHT:
                self._in_flight.popleft().synchronize()

    def _end_window(self, running: Running) -> None:
        self._hand_over(running, [*running.clip.due(self._steps, running.complete), running.complete])
        window = running.plan.popleft()
        if not running.plan:
            self._release(running)
            return
        tail = self._model.pattern.frames(self._slots.sequence(running.slot), self._model.stride, window.frames)
        try:
            if running.generation.request.melody is not None:
                running.conditions = self._model.condition(running.generation.request, running.plan[0], of_several=True)
                self._occupy(running)
            self._begin_window(running, tail.cpu())
        except Exception as error:  # its own caller receives it; the others continue
            self._end(running.generation, error)
            self._release(running)

    def _hand_over(self, running: Running, stops: list[int]) -> None:
        """Passes the frames up to each of `stops` that were not passed on yet to the sound thread."""
        clip, offset = running.clip, running.plan[0].offset
        for stop in stops:
            if stop == clip.handed:
                continue
            start, clip.handed = clip.handed, stop
            codes = self._model.pattern.frames(self._slots.sequence(running.slot), start - offset, stop - offset)
            ready = None if self._stream is None else recorded_event()
            self._sound.put(Frames(clip, codes, ready, last=stop == clip.frames))

    def _release(self, running: Running) -> None:
        self._slots.release(running.slot)
        del self._running[running.slot]
        self._free.add(running.slot)
        self.waiting.give_back()

    def _report_occupancy(self) -> None:
        self.metrics.occupancy(len(self._running), len(self.waiting))


def _first_chunk(metrics: EngineMetrics, generation: GenerationHandle) -> None:
    metrics.first_audio(time.monotonic() - generation.submitted)


def _end(metrics: EngineMetrics, generation: GenerationHandle, error: BaseException | None) -> None:
    """Ends a request once, whichever thread does it first."""
    outcomes = {type(None): "completed", Cancelled: "cancelled", DeadlineExceeded: "expired"}
    generation.end(error, partial(metrics.ended, outcomes.get(type(error), "failed")))
