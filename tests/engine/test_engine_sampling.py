"""Sampling for many requests at once follows the definitions and gives each request the same tokens as alone."""

from __future__ import annotations

import pytest
import torch

from audiocraft_triton.engine.lm.randomness import draw_keys, exponential_draws
from audiocraft_triton.engine.lm.sampling import SamplingParameters, guide, sample

CARD = 16


def parameters(*requests: tuple[float, int, float]) -> SamplingParameters:
    """Makes the parameters of requests from (temperature, top_k, top_p)."""
    made = SamplingParameters(len(requests), CARD, torch.device("cpu"))
    for slot, (temperature, top_k, top_p) in enumerate(requests):
        made.set(slot, temperature=temperature, top_k=top_k, top_p=top_p, cfg_coef=1.0)
    return made


def draws(count: int) -> torch.Tensor:
    """Makes draws [count, 1, CARD]."""
    return exponential_draws(draw_keys(2, count, 1), CARD)


def candidates(logits: torch.Tensor, temperature: float, top_k: int, top_p: float) -> set[int]:
    """Returns every token that is ever sampled."""
    count = 4000
    rows = logits.expand(count, 1, CARD)
    each = parameters(*[(temperature, top_k, top_p)] * count)
    return set(sample(rows, each, draws(count), filtered=True).flatten().tolist())


def test_top_k_keeps_the_k_likeliest() -> None:
    logits = torch.arange(CARD).float() / 8
    assert candidates(logits, 1.0, 3, 0.0) == {13, 14, 15}
    assert candidates(logits, 1.0, CARD, 0.0) == set(range(CARD))


def test_top_k_keeps_ties() -> None:
    logits = torch.zeros(CARD)
    logits[[2, 5, 9]] = 1.0
    assert candidates(logits, 1.0, 2, 0.0) == {2, 5, 9}


def test_top_p_keeps_the_least_number_of_tokens_that_exceeds_p_and_overrides_top_k() -> None:
    logits = torch.full((CARD,), -30.0)
    logits[:4] = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    assert candidates(logits, 1.0, 1, 0.65) == {0, 1}
    assert candidates(logits, 1.0, 1, 0.75) == {0, 1, 2}
    assert candidates(logits, 1.0, CARD, 1e-6) == {0}
    assert candidates(logits, 1.0, 1, 1.0) >= {0, 1, 2, 3}


@pytest.mark.parametrize("draw", [0.0, -0.0, 1e-45], ids=["0", "-0", "the least number"])
@pytest.mark.parametrize("filtered", [False, True])
def test_a_token_of_probability_0_is_never_sampled(draw: float, filtered: bool) -> None:
    logits = torch.full((1, 1, CARD), -1000.0)
    logits[0, 0, 9] = 0.0
    unlucky = torch.full((1, 1, CARD), draw)
    unlucky[0, 0, 9] = 17.0
    for top_k, top_p in ((CARD, 0.0), (3, 0.0), (CARD, 0.9), (CARD, 1.0)):
        assert int(sample(logits, parameters((1.0, top_k, top_p)), unlucky, filtered=filtered)) == 9


def test_temperature_0_is_greedy_and_a_low_one_nearly() -> None:
    logits = torch.arange(CARD).float()
    assert candidates(logits, 0.0, CARD, 0.0) == {CARD - 1}
    assert candidates(logits, 0.05, CARD, 0.0) == {CARD - 1}
    assert len(candidates(logits, 10.0, CARD, 0.0)) == CARD


def test_each_request_of_a_batch_gets_the_same_token_as_alone() -> None:
    requests = [(0.0, CARD, 0.0), (1.0, 3, 0.0), (0.7, CARD, 0.6), (1.3, CARD, 0.0)]
    logits = torch.randn(4, 1, CARD, generator=torch.Generator().manual_seed(1))
    together = sample(logits, parameters(*requests), draws(4), filtered=True)
    for index, request in enumerate(requests):
        alone = sample(logits[index : index + 1], parameters(request), draws(4)[index : index + 1], filtered=True)
        assert torch.equal(together[index], alone[0])


def test_without_restrictions_sorting_changes_nothing() -> None:
    logits = torch.randn(50, 1, CARD, generator=torch.Generator().manual_seed(1))
    each = parameters(*[(1.0, CARD, 0.0)] * 50)
    sampled = [sample(logits, each, draws(50), filtered=filtered) for filtered in (False, True)]
    assert torch.equal(*sampled)
    assert len(sampled[0].unique()) > 5


def test_logits_that_are_not_numbers_stay_within_the_codebook() -> None:
    logits = torch.full((1, 1, CARD), torch.nan)
    token = sample(logits, parameters((1.0, 3, 0.9)), draws(1), filtered=True)
    assert 0 <= int(token) < CARD


def test_guidance_mixes_two_rows_and_ignores_the_second_at_1() -> None:
    logits = torch.tensor([[[[2.0, 1.0]], [[1.0, 1.0]]], [[[2.0, 1.0]], [[torch.nan, torch.inf]]]])
    guided = guide(logits, torch.tensor([3.0, 1.0]).view(-1, 1, 1))
    assert guided[0].tolist() == [[4.0, 1.0]]
    assert guided[1].tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize("top_p", [0.0, 0.9])
def test_equal_logits_give_a_valid_token(top_p: float) -> None:
    token = sample(torch.zeros(1, 1, CARD), parameters((1.0, 1, top_p)), draws(1), filtered=True)
    assert 0 <= int(token) < CARD
