"""Equal rows have equal bits in every place of a batch, with any number of threads; else rows go one by one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from audiocraft_triton.checkpoints.layout import SHIPPED_DEMO
from audiocraft_triton.engine.lm import slots as slots_module
from audiocraft_triton.engine.lm.kernels.cpu import TorchOperations
from audiocraft_triton.engine.lm.projections import RowByRowProjection
from audiocraft_triton.engine.lm.randomness import exponential_draws
from audiocraft_triton.engine.lm.row_independence import (
    attention_is_independent,
    products_are_independent,
    with_independent_rows,
)
from audiocraft_triton.engine.lm.sampling import SamplingParameters, guide, sample
from audiocraft_triton.engine.lm.slots import Slots
from audiocraft_triton.engine.lm.transformer import DecoderTransformer
from audiocraft_triton.engine.lm.weights import Norm, Weights
from audiocraft_triton.engine.model import GenerativeModel

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = SHIPPED_DEMO / "music"
ROWS = 16
OLD_PROCESSOR = {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
"""Makes MKL choose kernels by alignment on an Intel processor, too, as it does on AMD's."""
DTYPES = [torch.float32, torch.bfloat16]


def load(dtype: torch.dtype) -> GenerativeModel:
    """Loads the shipped music model, whose widths are real ones."""
    with torch.inference_mode():
        return GenerativeModel.load(str(SHIPPED), torch.device("cpu"), dtype)


@pytest.fixture(scope="module", params=DTYPES, ids=str)
def model(request: pytest.FixtureRequest) -> GenerativeModel:
    return load(request.param)


@pytest.fixture(params=range(1, 9), ids="{} threads".format)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def assert_all_equal(rows: torch.Tensor) -> None:
    assert torch.equal(rows, rows[:1].expand_as(rows))


@pytest.mark.usefixtures("threads")
def test_equal_rows_of_every_product(model: GenerativeModel) -> None:
    """The rows are computed as in an engine on this machine: together or, if necessary, row by row."""
    transformer = with_independent_rows(model.transformer, ROWS)
    first, dtype = transformer.weights.layers[0], transformer.weights.dtype
    assert first.cross is not None
    row = drawn(1, transformer.weights.dim).to(dtype)
    hidden = drawn(1, first.feed_in(row).shape[-1]).to(dtype)
    products: list[tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = [
        *((product, row) for product in (first.qkv, first.self_out, first.cross.query, first.cross.out, first.feed_in)),
        (first.feed_out, hidden),
        (first.activation, hidden),
        (transformer.logits, row),
    ]
    for product, one in products:
        most = product(one.repeat(ROWS, 1))
        assert_all_equal(most)
        for count in range(1, ROWS) if transformer.weights.rows_independent else ():
            assert torch.equal(product(one.repeat(count, 1)), most[:count])


@pytest.mark.usefixtures("threads")
def test_equal_rows_of_attention(model: GenerativeModel) -> None:
    transformer = with_independent_rows(model.transformer, ROWS)
    operations, dtype = transformer.operations, transformer.weights.dtype
    query = drawn(1, 4, 64).to(dtype).repeat(ROWS, 1, 1)
    keys, values = drawn(2, 1, operations.capacity(1000), 4, 64).to(dtype).repeat(1, ROWS, 1, 1, 1)
    for length in (1, 63, 64, 65, 300, 1000):

        def attended(*lengths: int) -> torch.Tensor:
            rows = len(lengths)
            return operations.attend(query[:rows], keys[:rows], values[:rows], operations.spans(torch.tensor(lengths)))

        alone = attended(length)
        assert torch.equal(attended(*[length] * ROWS), alone.expand(ROWS, -1))
        for other in (0, 40, 1000):  # an idle row, a short or unrelated one, and the longest
            among = attended(*[length, other] * (ROWS // 2))
            assert torch.equal(among[::2], alone.expand(ROWS // 2, -1))


@pytest.mark.usefixtures("threads")
def test_equal_rows_of_everything_else_in_a_step(model: GenerativeModel) -> None:
    transformer, dim = model.transformer, model.transformer.weights.dim
    for count in (2, 7, 64):
        norm = Norm(drawn(dim), drawn(dim))
        residual, update = drawn(2, 1, dim).repeat(1, count, 1)
        update = update.to(transformer.weights.dtype)
        assert_all_equal(transformer.operations.add_and_norm(residual, update, norm))
        assert_all_equal(residual)
        tokens = torch.tensor([[1, 500, 900, 1024]]).repeat(count, 1)
        assert_all_equal(transformer.embed(tokens, torch.full((count,), 77)))
        logits = guide(drawn(1, 2, 4, 1024).repeat(count, 1, 1, 1), torch.full((count, 1, 1), 3.0))
        assert_all_equal(logits)
        assert_all_equal(torch.softmax(logits, dim=-1))
        draws = exponential_draws(torch.tensor([[1, 2, 3, 4]]).repeat(count, 1), card=1024)
        assert_all_equal(draws)
        for top_k, top_p in ((250, 0.0), (0, 0.9)):
            parameters = SamplingParameters(count, 1024, torch.device("cpu"))
            for slot in range(count):
                parameters.set(slot, temperature=0.9, top_k=top_k, top_p=top_p, cfg_coef=3.0)
            assert_all_equal(sample(logits, parameters, draws, filtered=True))


@pytest.mark.usefixtures("two_threads")
def test_equal_requests_in_all_slots(model: GenerativeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Covers prefill and steps: a prompt of 20 frames, then 70 steps."""
    slots = Slots(with_independent_rows(model.transformer, 10), 5, model.columns, model.prefix)
    seen: list[torch.Tensor] = []

    def likeliest(logits: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        seen.append(logits)
        return logits.argmax(dim=-1)

    monkeypatch.setattr(slots_module, "sample", likeliest)
    with torch.inference_mode():
        conditions = model.conditioner("calm piano", None, model.codec.sample_rate)
        prompt = torch.randint(1024, (4, 20), generator=torch.Generator().manual_seed(1))
        sequence = model.pattern.interleave(prompt, frames=100)
        for slot in range(slots.count):
            slots.occupy(slot, conditions, temperature=1.0, top_k=250, top_p=0.0, cfg_coef=3.0)
            slots.begin(slot, sequence, torch.zeros_like(sequence), model.pattern.first_column(20), conditions)
        for _ in range(70):
            slots.step()
    assert len(seen) == 70
    for logits in seen:
        assert_all_equal(logits)


class _ByPlace:
    """A product or an attention whose last bits depend on the row's place."""

    def __init__(self, compute: Callable[..., torch.Tensor]) -> None:
        self._compute = compute

    def __call__(self, *inputs: object) -> torch.Tensor:
        result = self._compute(*inputs)
        place = torch.arange(len(result)).view(-1, *[1] * (result.dim() - 1))
        return result * (1 + 1e-6 * place)


class _AttentionByPlace(TorchOperations):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.attend = _ByPlace(super().attend)  # type: ignore[method-assign]


def test_attention_that_depends_on_the_place_is_computed_row_by_row(caplog: pytest.LogCaptureFixture) -> None:
    weights = with_independent_rows(load(torch.float32).transformer, ROWS).weights
    caplog.clear()
    faulty = DecoderTransformer(weights, _AttentionByPlace(torch.float32))
    assert not attention_is_independent(faulty, ROWS)
    with caplog.at_level(logging.WARNING):
        settled = with_independent_rows(faulty, ROWS)
    assert "attention" in caplog.text
    assert "MKL_CBWR=AUTO" in caplog.text
    assert settled.weights is weights
    assert attention_is_independent(settled, ROWS)
    qkv = drawn(1, 3, weights.heads, settled.head_dim).repeat(ROWS, 1, 1, 1)
    keys, values = torch.zeros(2, ROWS, settled.operations.capacity(100), weights.heads, settled.head_dim)
    plain = TorchOperations(torch.float32)
    for length in (1, 2, 100):
        spans = settled.operations.spans(torch.tensor([length] * ROWS))
        attended = settled.operations.append(qkv, keys, values, spans)
        expected = plain.attend(qkv[:1, 0], keys[:1], values[:1], plain.spans(torch.tensor([length])))
        assert torch.equal(attended, expected.expand(ROWS, -1))


@pytest.mark.parametrize("name", ["qkv", "self_out", "query", "feed_in", "feed_out", "head"])
def test_a_product_that_depends_on_the_place_is_computed_row_by_row(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain = load(torch.float32).transformer
    faulty = DecoderTransformer(_with_a_fault(plain.weights, name), plain.operations)
    assert not products_are_independent(faulty, ROWS)
    with caplog.at_level(logging.WARNING):
        settled = with_independent_rows(faulty, ROWS)
    assert "matrix products" in caplog.text
    assert settled.operations is plain.operations
    assert products_are_independent(settled, ROWS)
    row = drawn(1, plain.weights.dim)
    together, alone = settled.logits(row.repeat(ROWS, 1)), settled.logits(row)
    assert torch.equal(together, alone.expand_as(together))


def _with_a_fault(weights: Weights, name: str) -> Weights:
    first = weights.layers[0]
    if name == "head":
        return replace(weights, head=_ByPlace(weights.head))
    if name == "query":
        assert first.cross is not None
        faulty = replace(first, cross=replace(first.cross, query=_ByPlace(first.cross.query)))
    else:
        faulty = replace(first, **{name: _ByPlace(getattr(first, name))})
    return replace(weights, layers=(faulty, *weights.layers[1:]))


def test_a_prefill_is_computed_together_even_if_steps_are_computed_row_by_row() -> None:
    rows: list[int] = []

    def listening(x: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return x

    projection = RowByRowProjection(listening, ROWS)
    for count in (ROWS, ROWS + 1):
        assert torch.equal(projection(drawn(count, 8)), drawn(count, 8))
    assert rows == [1] * ROWS + [ROWS + 1]


def test_independent_operations_are_not_changed(caplog: pytest.LogCaptureFixture) -> None:
    weights = load(torch.float32).transformer.weights
    faulty = DecoderTransformer(_with_a_fault(weights, "qkv"), _AttentionByPlace(torch.float32))
    settled = with_independent_rows(faulty, ROWS)
    caplog.clear()
    assert with_independent_rows(settled, ROWS) is settled
    assert not caplog.records


def _in_a_process(program: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=300,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment},
    )  # fmt: skip
    return result.stdout


def test_importing_the_package_settles_the_order_even_after_torch() -> None:
    """MKL reads the setting at its first product."""
    shown = "import torch, audiocraft_triton, os; print(os.environ['MKL_CBWR'])"
    without = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    plain = subprocess.run(
        [sys.executable, "-c", shown], cwd=PROJECT, capture_output=True, text=True, check=True, env=without, timeout=300
    )
    assert plain.stdout.split() == ["AUTO"]
    assert _in_a_process(shown, MKL_CBWR="COMPATIBLE").split() == ["COMPATIBLE"]


ATTENTION = """
import torch
from types import SimpleNamespace
from audiocraft_triton.engine.lm.kernels.cpu import TorchOperations
from audiocraft_triton.engine.lm.kernels.row_by_row import RowByRowOperations
from audiocraft_triton.engine.lm.row_independence import attention_is_independent
torch.set_num_threads(2)
weights = SimpleNamespace(heads=4, dtype=torch.float32)
for operations in TorchOperations(torch.float32), RowByRowOperations(TorchOperations(torch.float32)):
    print(attention_is_independent(SimpleNamespace(operations=operations, weights=weights, head_dim=64), 16))
"""


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch multiplies without MKL")
@pytest.mark.parametrize(("order", "together"), [("AUTO", "True"), ("", "False")])
def test_processors_whose_mkl_chooses_kernels_by_alignment(order: str, together: str) -> None:
    """With MKL's order settled, bits are equal; without, the check notices, and row by row they are equal again."""
    assert _in_a_process(ATTENTION, **OLD_PROCESSOR, MKL_CBWR=order).split() == [together, "True"]
