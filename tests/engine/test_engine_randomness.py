"""A request's random numbers are determined by its seed and have the right distribution."""

from __future__ import annotations

import numpy as np
import torch

from audiocraft_triton.engine.lm.randomness import draw_keys, exponential, exponential_draws


def test_draw_keys_depend_only_on_seed_frame_and_codebook() -> None:
    long, short = draw_keys(7, 1000, 4), draw_keys(7, 10, 4)
    assert torch.equal(long[:10], short)
    assert len(torch.unique(long)) == 4000
    assert not torch.equal(draw_keys(8, 10, 4), short)
    assert draw_keys(2**63 - 1, 3, 8).shape == (3, 8)


def test_the_same_seed_gives_the_same_numbers_on_every_machine() -> None:
    """The numbers are pinned, because with other ones no earlier clip could be generated again."""
    assert draw_keys(7, 1, 2).tolist() == [[-2359828239160312924, 5448529601018347655]]
    np.testing.assert_allclose(
        exponential_draws(draw_keys(7, 1, 2), 3)[0].numpy(),
        [
            [0.31076955795288086, 0.2667081654071808, 0.42731520533561707],
            [0.5984387397766113, 0.13384738564491272, 0.05377877131104469],
        ],
        rtol=1e-6,
    )


def test_draws_are_exponential_and_independent_of_adjacent_ones() -> None:
    draws = exponential_draws(draw_keys(3, 400, 4), 512).numpy()
    assert draws.dtype == np.float32
    assert draws.min() > 0
    sample = np.sort(draws.ravel())
    distance = np.abs(1 - np.exp(-sample) - (np.arange(len(sample)) + 0.5) / len(sample)).max()
    assert distance < 1.6 / np.sqrt(len(sample))  # Kolmogorov-Smirnov at about 1 %
    flat = draws.reshape(-1, 512) - 1
    for lag in ((flat[:, 1:] * flat[:, :-1]), (flat[1:] * flat[:-1]), (flat[4:] * flat[:-4])):
        assert abs(lag.mean()) < 5 / np.sqrt(lag.size)


def test_each_of_the_2_to_the_24_draws_is_positive_finite_and_the_pinned_logarithm() -> None:
    numbers = torch.arange(2**24)
    draws = exponential(numbers)
    assert draws.dtype == torch.float32
    assert float(draws.min()) == 2**-24
    assert float(draws.max()) < 17.4
    # In float32 the largest number and a half is rounded up to 2²⁴, whose draw would be -log(1) = -0.0.
    rounded = (numbers.float() + 0.5) * 2.0**-24
    assert rounded[-1] == 1.0
    assert torch.equal(draws[:-1], -rounded[:-1].log())


def test_the_race_samples_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.125, 0.1, 0.025])
    draws = exponential_draws(draw_keys(1, 10_000, 4).flatten(), 5)
    counts = torch.bincount((probabilities / draws).argmax(dim=-1), minlength=5).numpy()
    expected = probabilities.numpy() * 40_000
    assert ((counts - expected) ** 2 / expected).sum() < 18.5  # chi-squared, 4 degrees of freedom, at 0.1 %


def test_a_part_of_a_batch_has_the_same_draws_as_the_whole() -> None:
    keys = draw_keys(5, 6, 4)
    assert torch.equal(exponential_draws(keys, 64)[2:3], exponential_draws(keys[2:3], 64))
