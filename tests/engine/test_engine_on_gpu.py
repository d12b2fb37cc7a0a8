"""On a GPU: audiocraft's logits, graphs that equal eager steps, and requests that don't change each other."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.models import MusicGen
from audiocraft.modules.conditioners import ClassifierFreeGuidanceDropout, ConditioningAttributes
from upstream_models import load_upstream

from audiocraft_triton.engine.codec.streaming import Piece, StreamingDecoder
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.handle import Audio
from audiocraft_triton.engine.lm.kv_cache import KVCache
from audiocraft_triton.engine.lm.randomness import draw_keys, exponential_draws
from audiocraft_triton.engine.model import GenerativeModel
from audiocraft_triton.engine.request import GenerationRequest

pytestmark = pytest.mark.needs_gpu

REQUEST = GenerationRequest("calm piano with soft strings", duration=4.0, seed=3, top_k=100)


@pytest.fixture(scope="module")
def engine(demo_checkpoints: Path) -> Iterator[Engine]:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cuda")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def alone(engine: Engine) -> Audio:
    return engine.submit(REQUEST).result()


def test_first_step_logits_are_audiocrafts_within_half_precision(demo_checkpoints: Path) -> None:
    upstream = load_upstream(MusicGen, demo_checkpoints / "music", device="cuda").lm
    text = "slow jazz guitar"
    attributes = [ConditioningAttributes(text={"description": text})]
    attributes += ClassifierFreeGuidanceDropout(p=1.0)(attributes)
    first = torch.full((2, 4, 1), upstream.special_token_id, device="cuda")
    with torch.inference_mode(), torch.autocast("cuda", torch.float16), upstream.streaming():
        conditions = upstream.condition_provider(upstream.condition_provider.tokenize(attributes))
        expected = upstream(first, [], conditions)[:, :, 0].float()

    with torch.inference_mode():
        model = GenerativeModel.load("demo", torch.device("cuda"), torch.float16)
        transformer, vectors = model.transformer, model.conditioner(text, None, model.codec.sample_rate).cross
        assert vectors is not None
        cache, rows = KVCache(transformer, rows=2, positions=16), slice(0, 2)
        cache.store_conditions(rows, vectors)
        one = torch.ones(2, dtype=torch.int64, device="cuda")
        attention = cache.decode(rows, one, one * vectors.shape[1])
        residual = transformer.embed(first[:, :, 0], first.new_zeros(2))
        logits = transformer.logits(transformer.forward(residual, attention))
    assert float(expected.abs().max()) > 1
    assert float((logits - expected).abs().max()) < 0.01 * float(expected.abs().max())


def test_graph_replay_equals_eager(engine: Engine, demo_checkpoints: Path) -> None:
    """The text is empty, because an eager engine encodes text with another precision."""
    assert demo_checkpoints.is_dir()
    request = replace(REQUEST, text="")
    expected = engine.submit(request).result()
    eager = Engine("demo", device="cuda", cuda_graphs=False)
    assert eager._scheduler._captured is None
    clip = eager.submit(request).result()
    eager.close()
    np.testing.assert_array_equal(clip.codes, expected.codes)


def test_eagerly_encoded_texts_equal_those_of_the_graphs_within_half_precision(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    encoded = []
    for cuda_graphs in (True, False):
        engine = Engine("demo", device="cuda", slots=1, cuda_graphs=cuda_graphs)
        conditions = engine._preparation.prepare(GenerationRequest(REQUEST.text)).conditions
        encoded.append(conditions.cross.float().cpu())
        engine.close()
    assert float(encoded[0].abs().max()) > 0.01
    torch.testing.assert_close(encoded[0], encoded[1], rtol=1e-2, atol=1e-2 * float(encoded[0].abs().max()))


def test_a_graph_is_not_replayed_on_other_tensors_than_it_was_captured_for(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cuda", slots=2)
    slots = engine._scheduler._slots
    expected = engine.submit(REQUEST).result()
    cached = slots._cache._sequences
    slots._cache._sequences = cached.clone()
    with pytest.raises(RuntimeError, match=r"captured for cache.sequences as float16 .*Engine\(cuda_graphs=False\)"):
        engine.submit(REQUEST).result()
    slots._cache._sequences = cached
    np.testing.assert_array_equal(engine.submit(REQUEST).result().codes, expected.codes)
    engine.close()


def test_a_graph_is_not_replayed_on_another_stream(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match=r"a CUDA graph was captured on .*replay it inside `on_stream`"):
        engine._scheduler._captured()


def test_a_closed_engine_holds_no_memory_of_the_gpu(demo_checkpoints: Path) -> None:
    """The garbage collector does not run. Captured graphs' memory is in their pools, which are freed with them."""
    assert demo_checkpoints.is_dir()
    gc.collect()
    before = _allocated()
    gc.disable()
    try:
        engine = Engine("demo", device="cuda", slots=8)
        engine.generate("piano", duration=1.0)
        assert _allocated() > before + 5_000_000
        engine.close()
        del engine
        assert _allocated() <= before + 1_000_000
    finally:
        gc.enable()


def _allocated() -> int:
    """Returns the bytes of tensors on the GPU, without cuBLAS's workspaces, one per stream, of the process."""
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()
    return torch.cuda.memory_allocated()


def test_a_request_alone_equals_itself_among_others_in_any_slot(engine: Engine, alone: Audio) -> None:
    for before in (0, 3, 30):
        others = [
            engine.submit(
                GenerationRequest(f"band number {index}", duration=2 + index % 5, seed=index, cfg_coef=1 + index % 3)
            )
            for index in range(before)
        ]
        generation = engine.submit(REQUEST)
        others += [engine.submit(GenerationRequest("rock", duration=1.0, seed=index)) for index in range(12)]
        clip = generation.result()
        np.testing.assert_array_equal(clip.codes, alone.codes)
        np.testing.assert_allclose(clip.waveform, alone.waveform, atol=5e-4)
        for other in others:
            other.result()


def test_a_streamed_clip_equals_the_whole_one(engine: Engine, alone: Audio) -> None:
    request = GenerationRequest(REQUEST.text, duration=4.0, seed=3, top_k=100, chunk_seconds=0.1)
    chunks = list(engine.submit(request))
    assert len(chunks) == 40
    np.testing.assert_array_equal(chunks[-1].codes, alone.codes)
    joined = np.concatenate([chunk.waveform for chunk in chunks], axis=1)
    np.testing.assert_allclose(joined, alone.waveform, atol=5e-4)


def test_long_clips_and_continuations_work(engine: Engine) -> None:
    clip = engine.generate("march", duration=34.0, seed=1)
    assert clip.waveform.shape == (1, 34 * 32_000)
    again = engine.generate("march", duration=6.0, seed=2, continuation=clip.waveform[:, : 4 * 32_000])
    assert again.codes.shape == (4, 300)


def test_bfloat16_generates(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cuda", dtype="bfloat16", slots=4)
    clip = engine.generate("jazz", duration=1.0, seed=1)
    engine.close()
    assert len(np.unique(clip.codes)) > 50


def test_draws_equal_those_of_the_cpu() -> None:
    keys = draw_keys(5, 50, 4)
    ours, theirs = exponential_draws(keys.cuda(), 2048).cpu(), exponential_draws(keys, 2048)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)  # logarithms differ in their last bits
    assert torch.equal(ours.argmin(dim=-1), theirs.argmin(dim=-1))


def test_pieces_join_to_the_offline_decode(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    codec: Any = engine._model.codec
    codes = torch.randint(0, 512, (4, 211), device="cuda", generator=torch.Generator("cuda").manual_seed(1))
    decoder = StreamingDecoder(codec, micro_batch=4)
    clip = decoder.open()
    with torch.inference_mode():
        offline = codec.decode(codes[None])[0]
        pieces = codes.split(25, dim=1)
        sound = [decoder.decode([Piece(clip, piece, piece is pieces[-1])])[0] for piece in pieces]
    torch.testing.assert_close(torch.cat(sound, dim=1), offline, rtol=0, atol=1e-4)
