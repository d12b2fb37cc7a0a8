"""The inputs of the generation models: both sides of every bound, and the message of each refusal."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import MAX_SEED
from audiocraft_triton.contract.parameters import BY_NAME, PARAMETERS
from audiocraft_triton.engine.request import GenerationRequest

# field: (just below, lowest, highest, just above, the bound in words)
BOUNDS: dict[str, tuple[Any, Any, Any, Any, str]] = {
    "duration": (0.099, 0.1, 300, 300.1, "must be between 0.1 and 300 seconds"),
    "temperature": (-0.001, 0, 10, 10.001, "must be between 0 and 10"),
    "top_k": (-1, 0, 2**31 - 1, 2**31, "must be between 0 and 2,147,483,647"),
    "top_p": (-0.001, 0, 1, 1.001, "must be between 0 and 1"),
    "cfg_coef": (-0.001, 0, 20, 20.001, "must be between 0 and 20"),
    "seed": (-1, 0, 2**63 - 1, 2**63, "must be between 0 and 9,223,372,036,854,775,807"),
    "chunk_seconds": (0.099, 0.1, 10, 10.001, "must be between 0.1 and 10 seconds"),
}
FLOATS = [name for name in BOUNDS if BY_NAME[name].datatype == "FP32"]


def test_every_number_has_a_row_in_the_table_above() -> None:
    numbers = {row.name for row in PARAMETERS if row.datatype in ("FP32", "INT32", "INT64")}
    assert set(BOUNDS) == numbers


@pytest.mark.parametrize("field", BOUNDS)
@pytest.mark.parametrize("side", [0, 3], ids=["below", "above"])
def test_a_number_out_of_bounds_is_refused_by_field_value_and_bound(field: str, side: int) -> None:
    value, words = BOUNDS[field][side], BOUNDS[field][4]
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest(**{field: value})
    assert str(caught.value) == f"{field}={value}: {words}"
    assert (caught.value.field, caught.value.value, caught.value.bound) == (field, value, words)


@pytest.mark.parametrize("field", BOUNDS)
@pytest.mark.parametrize("side", [1, 2], ids=["lowest", "highest"])
def test_the_bounds_themselves_are_allowed(field: str, side: int) -> None:
    value = BOUNDS[field][side]
    assert getattr(GenerationRequest(**{field: value}), field) == value


@pytest.mark.parametrize("field", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}={value}: must be between"):
        GenerationRequest(**{field: value})


def test_text_may_have_2000_characters_of_any_script_and_no_more() -> None:
    assert GenerationRequest(text="雨" * 2000).text == "雨" * 2000
    assert GenerationRequest(text="").text == ""
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest(text="雨" * 2001)
    assert caught.value.field == "text"
    assert caught.value.bound == "has 2,001 characters, at most 2,000 are allowed"
    assert len(str(caught.value)) < 150  # the message does not repeat the whole text


@pytest.mark.parametrize("value", ["vocoder", "", "ENCODEC"])
def test_an_unknown_decoder_is_refused_with_the_known_ones(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest(decoder=value)
    assert str(caught.value) == f"decoder={value!r}: must be one of encodec, multiband_diffusion"


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        BY_NAME["format"].check("m4a")
    assert str(caught.value) == "format='m4a': must be one of wav, flac, ogg, mp3, pcm_f32"


def test_defaults_are_those_of_the_public_contract() -> None:
    request = GenerationRequest()
    given = {row.name: getattr(request, row.name) for row in PARAMETERS if row.frontend != "unary"}
    del given["seed"]
    assert given == {
        "text": "",
        "duration": 10.0,
        "temperature": 1.0,
        "top_k": None,
        "top_p": 0.0,
        "cfg_coef": 3.0,
        "continuation": None,
        "melody": None,
        "decoder": "encodec",
        "chunk_seconds": 0.5,
    }


def test_a_seed_is_drawn_for_each_request_that_has_none() -> None:
    seeds = [GenerationRequest().seed for _ in range(20)]
    assert all(seed is not None and 0 <= seed <= MAX_SEED for seed in seeds)
    assert len(set(seeds)) == 20


def test_a_given_seed_is_kept_even_if_it_is_0() -> None:
    assert GenerationRequest(seed=0).seed == 0
    assert GenerationRequest(seed=7).seed == 7


def test_a_request_does_not_change_once_checked() -> None:
    request = GenerationRequest()
    with pytest.raises(FrozenInstanceError):
        request.duration = 1000.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("top_k", "card", "expected"),
    [(None, 2048, 250), (None, 64, 64), (250, 2048, 250), (0, 64, 0), (1, 64, 1), (64, 64, 64)],
)
def test_only_the_default_top_k_is_bounded_by_the_codebook(top_k: int | None, card: int, expected: int) -> None:
    assert GenerationRequest(top_k=top_k).top_k_of(card) == expected
