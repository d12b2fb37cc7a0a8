"""The average of a module's weights, and random loudness."""

from __future__ import annotations

import pytest
import torch

from training.augmentation import random_loudness
from training.weight_average import WeightAverage


def module(value: float) -> torch.nn.Module:
    layer = torch.nn.BatchNorm1d(1)
    set_weight(layer, value)
    return layer


def set_weight(layer: torch.nn.Module, value: float) -> None:
    with torch.no_grad():
        layer.get_parameter("weight").fill_(value)


def test_the_average_excludes_the_initial_weights() -> None:
    layer = module(100.0)
    average = WeightAverage(layer, decay=0.9)
    for value in (1.0, 2.0):
        set_weight(layer, value)
        average.update()
    assert average.module_state()["weight"].item() == pytest.approx((0.9 * 1.0 + 2.0) / 1.9)
    assert average.module_state().keys() == layer.state_dict().keys()


def test_a_restored_average_continues_like_the_original() -> None:
    layer = module(1.0)
    average = WeightAverage(layer, decay=0.9)
    average.update()
    restored = WeightAverage(layer, decay=0.9)
    restored.load_state_dict(average.state_dict())
    set_weight(layer, 5.0)
    average.update()
    restored.update()
    assert torch.equal(average.module_state()["weight"], restored.module_state()["weight"])


def test_the_module_computes_with_an_adopted_average() -> None:
    layer = module(1.0)
    average = WeightAverage(layer, decay=0.5)
    average.update()
    set_weight(layer, 4.0)
    average.update()
    average.adopt()
    assert layer.get_parameter("weight").item() == pytest.approx((0.5 * 1.0 + 4.0) / 1.5)


def test_random_loudness_never_clips() -> None:
    torch.manual_seed(0)
    clips = torch.rand(64, 1, 100) * 2 - 1
    changed = random_loudness(clips)
    gains = (changed / clips)[:, 0, 0]
    assert changed.abs().max() <= 1.0 + 1e-6
    assert gains.abs().min() >= 0.3
    assert gains.min() < 0 < gains.max()
    assert gains.abs().unique().numel() > 50
