"""On a CPU, other requests in the batch change no bit of the logits from which a request's tokens are drawn.

Tokens alone would show a change only once in some hundred seconds of music, where two of them are almost as likely.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from audiocraft_triton.checkpoints.layout import demo_directory
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.lm import slots
from audiocraft_triton.engine.lm.projections import PackedProjection, Projection, can_pack
from audiocraft_triton.engine.request import GenerationRequest

PROJECT = Path(__file__).resolve().parents[2]
TRAINED = demo_directory() / "music"
STEPS = 60
MINE = GenerationRequest("fast energetic solo piano in A major", duration=1.5, seed=0)
LONGER = [GenerationRequest("slow strings", duration=2.0, seed=seed) for seed in range(7)]
UNGUIDED = [GenerationRequest("jazz", duration=1.0, seed=9, cfg_coef=1.0, top_k=0)]


@pytest.fixture(params=["float32", "bfloat16"])
def trained(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine with the shipped music model, whose widths are real ones."""
    engine = Engine(str(TRAINED), device="cpu", dtype=request.param, slots=8)
    yield engine
    engine.close()


@pytest.mark.parametrize("mine", [MINE, GenerationRequest("jazz", duration=1.5, seed=3, cfg_coef=1.0)])
def test_logits_have_the_same_bits_alone_and_among_others(
    trained: Engine, mine: GenerationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    sample = slots.sample

    def listening(logits: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        seen.append(logits[0].clone())  # the first request gets the first slot
        return sample(logits, *arguments, **options)

    monkeypatch.setattr(slots, "sample", listening)

    def logits_among(others: list[GenerationRequest]) -> torch.Tensor:
        seen.clear()
        generations = [trained.submit(request, decode=False) for request in [mine, *others]]
        for generation in generations:
            generation.result()
        return torch.stack(seen[:STEPS])

    alone = logits_among([])
    assert torch.equal(logits_among(LONGER), alone)
    assert torch.equal(logits_among(UNGUIDED), alone)


@pytest.mark.skipif(not can_pack(torch.device("cpu"), torch.float32), reason="products are packed on x86 only")
@pytest.mark.parametrize(("inputs", "outputs"), [(256, 768), (1024, 256), (1024, 3072), (4096, 1024), (24, 40)])
def test_a_packed_product_is_the_product(inputs: int, outputs: int) -> None:
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(outputs, inputs, generator=draw)
    rows = torch.randn(64, inputs, generator=draw)
    for bias in (None, torch.randn(outputs, generator=draw)):
        packed = PackedProjection(Projection(weight, bias))
        torch.testing.assert_close(packed(rows), F.linear(rows, weight, bias), atol=1e-3, rtol=1e-4)
        assert torch.equal(packed(rows[0]), packed(rows[:1])[0])
        assert torch.equal(packed(rows[None, :1]), packed(rows[:1])[None])


PRODUCTS = """
import sys, torch
from audiocraft_triton.checkpoints.layout import SHIPPED_DEMO
from audiocraft_triton.engine.lm.row_independence import with_independent_rows
from audiocraft_triton.engine.model import GenerativeModel

torch.set_num_threads(int(sys.argv[1]))
with torch.inference_mode():
    model = GenerativeModel.load(str(SHIPPED_DEMO / "music"), torch.device("cpu"), torch.float32)
    transformer = with_independent_rows(model.transformer, 16)
    layer, rows = transformer.weights.layers[0], torch.randn(16, transformer.weights.dim)
    for product in layer.qkv, lambda x: layer.feed_out(layer.feed_in(x)), transformer.logits:
        print([torch.equal(product(rows[:count]), product(rows)[:count]) for count in range(1, 17)].count(True))
"""


@pytest.mark.parametrize(("instructions", "threads"), [("AVX2", 1), ("SSE41", 2), ("AVX512_CORE", 64)])
def test_products_do_not_depend_on_the_number_of_rows_on_other_processors(instructions: str, threads: int) -> None:
    """oneDNN reads such a limit once, when it is loaded. If its products depend on it, rows are computed one by one."""
    result = subprocess.run(
        [sys.executable, "-c", PRODUCTS, str(threads)], cwd=PROJECT, capture_output=True, text=True, check=True,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}, timeout=300,
    )  # fmt: skip
    assert result.stdout.split() == ["16"] * 3
