"""An interrupted training ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiocraft_triton.contract.errors import InvalidRequest
from training.runtime import TrainingRun, Worker

ALONE = Worker(0, 1, torch.device("cpu"))


def train(folder: Path, steps: int, stop_after: int | None = None, **settings: Any) -> list[float]:
    """Runs a training whose weights depend on every random number generator; returns its weights and momenta."""
    torch.manual_seed(1)
    layer = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    parts: Mapping[str, Any] = {"layer": layer, "optimizer": optimizer}
    run = TrainingRun(folder, ALONE, parts, {"rate": 0.1, **settings}, steps=steps, seed=5, report=lambda _line: None)
    for step in run.each_step():
        loss = (layer(torch.rand(4, 3)) - random.random() - float(np.random.rand())).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log({"loss": loss.detach()})
        if stop_after is not None and step + 1 == stop_after:
            run.steps = stop_after
    return [*layer.weight.flatten().tolist(), *layer.bias.tolist()]


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", 6)
    interrupted = train(tmp_path / "pieces", 6, stop_after=2)
    resumed = train(tmp_path / "pieces", 6)
    assert interrupted != straight
    assert resumed == straight


def test_a_finished_training_makes_no_further_step(tmp_path: Path) -> None:
    first = train(tmp_path, 3)
    assert train(tmp_path, 3) == first


def test_a_training_out_of_time_is_saved_and_resumes_later(tmp_path: Path) -> None:
    layer = torch.nn.Linear(1, 1)
    for expected in (1, 2):
        run = TrainingRun(tmp_path, ALONE, {"layer": layer}, {}, steps=9, minutes=0.0, report=lambda _line: None)
        made = list(run.each_step())
        assert made == [expected - 1]
        assert not run.finished


def test_a_folder_with_another_training_is_refused_with_the_names_of_the_differences(tmp_path: Path) -> None:
    train(tmp_path, 2, batch=4)
    with pytest.raises(InvalidRequest, match="another batch"):
        train(tmp_path, 2, batch=8)


def test_progress_is_logged_for_tensorboard(tmp_path: Path) -> None:
    train(tmp_path, 2)
    events = list((tmp_path / "tensorboard").iterdir())
    assert len(events) == 1
    assert b"loss" in events[0].read_bytes()


def test_a_batch_that_the_processes_cannot_share_is_refused() -> None:
    assert Worker(1, 4, torch.device("cpu")).share(8) == 2
    with pytest.raises(InvalidRequest, match="multiple of the number of processes, 3"):
        Worker(0, 3, torch.device("cpu")).share(8)
