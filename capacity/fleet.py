"""An event simulation of pods with slots, listeners that send requests, and the load balancer between them.

Within a pod all running requests advance at one pace, which depends on their number. So a pod has one clock of frames
that its requests share, and its events are marks on that clock.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PodModel:
    """The capacity of one pod.

    Attributes:
        slots: number of requests that run at once.
        max_waiting: number of requests that may wait; the next one is rejected.
        step_seconds: seconds that one frame of all running requests takes, for 0…slots of them.
        admission_seconds: duration of one admission; a pod admits requests one after the other.
        overhead_seconds: part of the time to first audio that is neither waiting nor steps.
    """

    slots: int
    max_waiting: int
    step_seconds: tuple[float, ...]
    admission_seconds: float = 0.0
    overhead_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Listeners:
    """The behaviour of listeners: they request a clip, listen to it, think, and request the next. Times in seconds.

    Attributes:
        clip: draws the length of a clip.
        think: draws a pause; a rejected listener also pauses before the next request.
        listens: whether the pause begins after the clip was heard; otherwise it begins once the clip is generated.
        frame_rate: frames per second of audio.
        first_frames: frames until the first chunk of audio.
    """

    clip: Callable[[random.Random], float]
    think: Callable[[random.Random], float]
    listens: bool = True
    frame_rate: float = 50.0
    first_frames: float = 28.0


@dataclass(slots=True)
class Request:
    """One request of a listener for a clip."""

    listener: int
    asked: float
    seconds: float
    frames: float
    started: float = 0.0  # time at which it got its slot
    delay: float = 0.0  # part of its time to first audio beyond the steps: admission and overhead
    first_audio: float = 0.0  # time of its first audio


@dataclass(slots=True, eq=False)
class Pod:
    """The state of a pod. `busy` and `slot_seconds` are integrals over time."""

    model: PodModel
    now: float = 0.0
    clock: float = 0.0  # frames that a request running from the start would have advanced
    running: int = 0
    waiting: deque[Request] = field(default_factory=deque)
    marks: list[tuple[float, int, bool, Request]] = field(default_factory=list)  # (clock, order, is the end, request)
    admitted: float = 0.0  # end of the last admission
    busy: float = 0.0
    slot_seconds: float = 0.0
    version: int = 0

    def advance(self, now: float) -> None:
        """Advances the pod's clock and integrals to `now`."""
        passed = now - self.now
        if self.running:
            self.clock += passed / self.model.step_seconds[self.running]
            self.busy += passed
            self.slot_seconds += passed * self.running
        self.now = now

    def next_mark(self) -> float:
        """Returns the time of the next mark, if no further request arrives."""
        if not self.marks:
            return float("inf")
        return self.now + max(0.0, self.marks[0][0] - self.clock) * self.model.step_seconds[self.running]

    @property
    def pressure(self) -> float:
        """(running + waiting) / slots."""
        return (self.running + len(self.waiting)) / self.model.slots


@dataclass(slots=True)
class Outcome:
    """The observations, each as (time of the request, seconds)."""

    first_audio: list[tuple[float, float]] = field(default_factory=list)
    queued: list[tuple[float, float]] = field(default_factory=list)  # seconds until a slot
    slowest_stream: float = float("inf")  # × real time, of whole clips
    rejected: list[float] = field(default_factory=list)


class Fleet:
    """Simulates listeners and pods.

    Args:
        model: capacity of every pod.
        pods: number of pods at the start.
        listeners: their behaviour.
        seed: for their lengths and pauses, which depend on nothing else: any number of pods meets the same listeners.
    """

    def __init__(self, model: PodModel, pods: int, listeners: Listeners, seed: int) -> None:
        self.now = 0.0
        self.pods = [Pod(model) for _ in range(pods)]
        self.outcome = Outcome()
        self._model = model
        self._habits = listeners
        self._seed = seed
        self._random: list[random.Random] = []
        self._present = 0
        self._order = itertools.count()
        self._turn = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Schedules an action."""
        heapq.heappush(self._events, (time, next(self._order), action))

    def run(self, until: float) -> None:
        """Runs all actions up to a time, in order."""
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until
        for pod in self.pods:
            pod.advance(until)

    def set_listeners(self, count: int, spread: float) -> None:
        """Sets the number of listeners. New ones send their first request within `spread` seconds; excess ones stop."""
        known = len(self._random)
        self._random += [random.Random(self._seed * 1_000_003 + number) for number in range(known, count)]
        newcomers = range(self._present, count)
        self._present = count
        for listener in newcomers:
            self._asks_at(self.now + self._random[listener].uniform(0.0, spread), listener)

    def add_pod(self) -> None:
        """Adds a pod that takes requests."""
        self.pods.append(Pod(self._model, now=self.now))

    def remove_pod(self) -> Pod:
        """Removes the newest pod: it takes no more requests, but finishes those that it has."""
        return self.pods.pop()

    def _asks_at(self, time: float, listener: int) -> None:
        self.at(time, lambda: self._ask(listener))

    def _ask(self, listener: int) -> None:
        if listener >= self._present:
            return
        draws = self._random[listener]
        seconds = self._habits.clip(draws)
        request = Request(listener, self.now, seconds, seconds * self._habits.frame_rate)
        self._turn += 1
        pod = self.pods[self._turn % len(self.pods)]
        pod.advance(self.now)
        if pod.running < pod.model.slots:
            self._start(pod, request)
        elif len(pod.waiting) < pod.model.max_waiting:
            pod.waiting.append(request)
        else:
            self.outcome.rejected.append(self.now)
            self._asks_at(self.now + self._habits.think(draws), listener)

    def _start(self, pod: Pod, request: Request) -> None:
        request.started = self.now
        self.outcome.queued.append((request.asked, self.now - request.asked))
        pod.admitted = max(pod.admitted, self.now) + pod.model.admission_seconds
        admission = pod.admitted - self.now
        first = min(request.frames, self._habits.first_frames)
        order = next(self._order)
        # The admission delays the request's audio, but the slot is taken meanwhile, so its frames count from now on.
        request.delay = admission + pod.model.overhead_seconds
        pod.running += 1
        heapq.heappush(pod.marks, (pod.clock + first, order, False, request))
        heapq.heappush(pod.marks, (pod.clock + request.frames, order, True, request))
        self._plan(pod)

    def _plan(self, pod: Pod) -> None:
        pod.version += 1
        version, time = pod.version, pod.next_mark()
        if time < float("inf"):
            self.at(time, lambda: self._mark(pod, version))

    def _mark(self, pod: Pod, version: int) -> None:
        if version != pod.version:
            return  # the pace has changed since this mark was scheduled
        pod.advance(self.now)
        mark, _, ends, request = heapq.heappop(pod.marks)
        pod.clock = max(pod.clock, mark)
        if not ends:
            request.first_audio = self.now + request.delay
            self.outcome.first_audio.append((request.asked, request.first_audio - request.asked))
        else:
            self._finish(pod, request)
        self._plan(pod)

    def _finish(self, pod: Pod, request: Request) -> None:
        pod.running -= 1
        speed = request.seconds / (self.now - request.started)
        self.outcome.slowest_stream = min(self.outcome.slowest_stream, speed)
        heard = max(self.now, request.first_audio + request.seconds) if self._habits.listens else self.now
        self._asks_at(heard + self._habits.think(self._random[request.listener]), request.listener)
        if pod.waiting:
            self._start(pod, pod.waiting.popleft())
