"""The runtime that all trainings share: processes and devices, resumable steps, progress, logs.

One process trains alone; under `torchrun --nproc-per-node N` each of N processes takes its share of every batch.
`flashy.distrib` averages the gradients, as in audiocraft: audiocraft's adversarial losses and balancer already call it,
so a `DistributedDataParallel` around them would average twice.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import distributed

from audiocraft_triton.contract.errors import InvalidRequest

STATE_FILE = "training.pt"
SETTINGS_FILE = "training.json"
SAVE_SECONDS = 60.0
REPORT_SECONDS = 10.0
MOST_HELPERS = 16

Report = Callable[[str], None]


class Stateful(Protocol):
    """An object with a state to save: a module, an optimizer, a schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Worker:
    """This process's place among the processes that train together."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process saves, logs and reports."""
        return self.rank == 0

    def helpers(self) -> int:
        """Returns how many processes read audio ahead for this one: enough for a GPU, none for training on a CPU."""
        if self.device.type == "cpu":
            return 0
        return max(2, min(MOST_HELPERS, (os.cpu_count() or 1) // self.count - 1))

    def share(self, batch: int) -> int:
        """Returns the number of clips of a batch that this process takes.

        Raises:
            InvalidRequest: the batch can't be divided evenly.
        """
        if batch % self.count:
            raise InvalidRequest("batch", batch, f"must be a multiple of the number of processes, {self.count}")
        return batch // self.count


def join_workers() -> Worker:
    """Joins the processes that torchrun started, if it did; each process takes one GPU if there are any."""
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32 is precise enough for training
        torch.backends.cudnn.benchmark = True
    if count > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Worker(rank, count, device)


class TrainingRun:
    """Runs the steps of one training: numbers and seeds each step, saves, resumes and reports.

    Args:
        folder: for state, settings and TensorBoard logs; if it holds a state, the training resumes.
        worker: this process.
        parts: everything that changes during training, by name: modules, optimizers, schedules.
        settings: everything that the result depends on; resuming with other settings is refused.
        steps: total number of steps.
        minutes: stop (saved, resumable) after this many minutes; None: only when done.
        seed: for all randomness in a step.
        report: receives lines of progress.

    Raises:
        InvalidRequest: the folder holds the state of a training with other settings.
    """

    def __init__(
        self,
        folder: Path,
        worker: Worker,
        parts: Mapping[str, Stateful],
        settings: Mapping[str, Any],
        *,
        steps: int,
        minutes: float | None = None,
        seed: int = 0,
        report: Report = print,
    ) -> None:
        self.folder = folder
        self.steps = steps
        self.step = 0
        self._worker = worker
        self._parts = dict(parts)
        self._settings = json.loads(json.dumps(dict(settings), default=str))
        self._seconds = None if minutes is None else 60.0 * minutes
        self._seed = seed
        self._report = report
        self._scalars: dict[str, torch.Tensor | float] = {}
        self._resume()

    @property
    def finished(self) -> bool:
        """Whether every step is done."""
        return self.step >= self.steps

    def each_step(self) -> Iterator[int]:
        """Yields the number of each remaining step, until all are done or time is up."""
        started = saved = reported = time.monotonic()
        first = self.step
        writer = self._writer()
        while not self.finished:
            seed_everything(self._seed, self.step, self._worker.rank)
            yield self.step
            self.step += 1
            now = time.monotonic()
            if writer is not None and (now - reported > REPORT_SECONDS or self.finished):
                self._show(writer, (now - started) / (self.step - first))
                reported = now
            if now - saved > SAVE_SECONDS:
                self._save()
                saved = now
            if self._seconds is not None and self._agree(now - started > self._seconds):
                break
        self._save()
        if writer is not None:
            writer.close()

    def log(self, scalars: Mapping[str, torch.Tensor | float]) -> None:
        """Takes this step's figures; they are read only when shown, so that no step waits for the GPU."""
        self._scalars = dict(scalars)

    def _resume(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        before = json.loads((self.folder / SETTINGS_FILE).read_text())
        if before != self._settings:
            changed = sorted(
                key
                for key in before.keys() | self._settings.keys()
                if before.get(key, None) != self._settings.get(key, None)
            )
            raise InvalidRequest(
                "state", str(self.folder), f"holds a training with another {', '.join(changed)}: choose another folder"
            )
        state = torch.load(path, map_location=self._worker.device, weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state["parts"][name])
        self.step = int(state["step"])
        if self._worker.leads:
            self._report(f"resumed at step {self.step:,} of {self.steps:,} from {path}")

    def _save(self) -> None:
        if not self._worker.leads:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / SETTINGS_FILE).write_text(json.dumps(self._settings, indent=1, sort_keys=True))
        temporary = self.folder / f".{STATE_FILE}"
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        torch.save({"step": self.step, "parts": parts}, temporary)
        os.replace(temporary, self.folder / STATE_FILE)

    def _agree(self, out_of_time: bool) -> bool:
        """Returns the same answer in every process; otherwise one would wait for the gradients of one that has left."""
        if self._worker.count == 1:
            return out_of_time
        answer = torch.tensor(float(out_of_time), device=self._worker.device)
        distributed.broadcast(answer, src=0)
        return bool(answer.item())

    def _writer(self) -> Any:
        if not self._worker.leads:
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))

    def _show(self, writer: Any, seconds_per_step: float) -> None:
        figures = {name: float(value) for name, value in self._scalars.items()}
        for name, value in figures.items():
            writer.add_scalar(name, value, self.step)
        left = (self.steps - self.step) * seconds_per_step
        shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self._report(
            f"step {self.step:>7,}/{self.steps:,}  {1000 * seconds_per_step:.0f} ms  {left / 60:.1f} min left  {shown}"
        )


def seed_everything(*address: int) -> None:
    """Seeds Python, numpy and torch from a few integers, so that a resumed step draws the same random numbers."""
    state = np.random.SeedSequence(list(address)).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))
