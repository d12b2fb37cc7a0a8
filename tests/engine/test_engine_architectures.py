"""Every supported architecture gives audiocraft's tokens; every other one is refused at load with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.models import MusicGen, builders
from omegaconf import OmegaConf
from upstream_draws import same_draws
from upstream_models import load_upstream

from audiocraft_triton.checkpoints.layout import CODEC_FILE, LM_FILE
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from audiocraft_triton.engine.engine import Engine

Variant = Callable[..., Path]


@pytest.fixture
def variant(demo_checkpoints: Path, tmp_path: Path) -> Variant:
    """Makes a music checkpoint whose LM differs by some settings, with seeded random weights."""

    def make(**settings: Any) -> Path:
        source, folder = demo_checkpoints / "music", tmp_path / "variant"
        folder.mkdir()
        (folder / "t5").symlink_to(source / "t5")
        shutil.copy(source / CODEC_FILE, folder)
        state = torch.load(source / LM_FILE, weights_only=True)
        config = OmegaConf.create(state["xp.cfg"])
        for name, value in settings.items():
            OmegaConf.update(config, name.replace("__", "."), value, force_add=True)
        building = config.copy()
        building.conditioners = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            lm = builders.get_lm_model(building)
            weights = {name: _randomized(name, tensor) for name, tensor in lm.state_dict().items()}
        projection = {name: tensor for name, tensor in state["best_state"].items() if name.startswith("condition")}
        torch.save({"best_state": {**weights, **projection}, "xp.cfg": OmegaConf.to_yaml(config)}, folder / LM_FILE)
        return folder

    return make


def _randomized(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Returns biases and scales that have an effect, and heads sharp enough for prompts to have one."""
    if "bias" in name or "scale" in name or "norm" in name:
        return tensor + 0.3 * torch.randn_like(tensor)
    return tensor * 3 if name.startswith("linears") else tensor


TAKEN = {
    "biases everywhere": {
        "transformer_lm__bias_attn": True, "transformer_lm__bias_ff": True, "transformer_lm__bias_proj": True,
    },
    "layer scale": {"transformer_lm__layer_scale": 0.5},
    "torch's attention": {"transformer_lm__memory_efficient": False},
    "own attention": {"transformer_lm__memory_efficient": False, "transformer_lm__custom": True},
    "another activation": {"transformer_lm__activation": "relu"},
    "scaled positions": {"transformer_lm__positional_scale": 0.3},
    "positions in cross-attention": {"fuser__cross_attention_pos_emb": True},
    "text before the first column": {"fuser__cross": [], "fuser__prepend": ["description"]},
    "stereo delays": {"codebooks_pattern__delay__delays": [0, 0, 1, 1]},
    "no delays": {"codebooks_pattern__delay__delays": [0, 0, 0, 0]},
}  # fmt: skip


@pytest.mark.parametrize("settings", TAKEN.values(), ids=TAKEN.keys())
def test_an_architecture_gives_audiocrafts_tokens(variant: Variant, settings: dict[str, Any]) -> None:
    folder = variant(**settings)
    upstream = load_upstream(MusicGen, folder)
    upstream.set_generation_params(duration=0.6, temperature=0.0)
    engine = Engine(str(folder), device="cpu")
    prompt = (0.3 * np.sin(np.arange(4480) / 20)).astype(np.float32)[None]
    for text in ("slow jazz guitar with soft drums", ""):
        _, expected = upstream.generate([text], return_tokens=True)
        np.testing.assert_array_equal(engine.generate(text, duration=0.6, temperature=0.0).codes, expected[0])
        _, expected = upstream.generate_continuation(torch.from_numpy(prompt)[None], 32_000, [text], return_tokens=True)
        clip = engine.generate(text, duration=0.6, temperature=0.0, continuation=prompt)
        np.testing.assert_array_equal(clip.codes, expected[0])
    engine.close()


def test_a_stereo_checkpoint_gives_audiocrafts_tokens_and_sound(variant: Variant) -> None:
    folder = variant(
        transformer_lm__n_q=8,
        codebooks_pattern__delay__delays=[0, 0, 1, 1, 2, 2, 3, 3],
        interleave_stereo_codebooks={"use": True, "per_timestep": False},
    )
    upstream = load_upstream(MusicGen, folder)
    upstream.set_generation_params(duration=0.6, temperature=0.0)
    engine = Engine(str(folder), device="cpu")
    expected, tokens = upstream.generate(["calm piano"], return_tokens=True)
    clip = engine.generate("calm piano", duration=0.6, temperature=0.0, chunk_seconds=0.1)
    engine.close()
    assert clip.waveform.shape == (2, 19_200)
    np.testing.assert_array_equal(clip.codes, tokens[0])
    np.testing.assert_allclose(clip.waveform, expected[0], atol=1e-5)
    assert not np.array_equal(clip.waveform[0], clip.waveform[1])


def test_a_codebook_smaller_than_the_default_top_k_needs_no_top_k(variant: Variant) -> None:
    engine = Engine(str(variant(transformer_lm__card=64)), device="cpu")
    whole = engine.generate("piano", duration=0.3, seed=1, top_k=64).codes
    np.testing.assert_array_equal(engine.generate("piano", duration=0.3, seed=1).codes, whole)
    with pytest.raises(InvalidRequest, match=r"^top_k=250: must be between 0 and 64, the codebook's size$"):
        engine.generate("piano", duration=0.3, seed=1, top_k=250)
    engine.close()


REFUSED = {
    "rotary positions": ({"transformer_lm__positional_embedding": "rope"}, "has 'rope' positions"),
    "post-norm": ({"transformer_lm__norm_first": False}, "has normalization after the layers"),
    "limited context": ({"transformer_lm__past_context": 10, "transformer_lm__memory_efficient": False,
                         "transformer_lm__custom": True}, "has a limited past_context"),
    "normalized queries": ({"transformer_lm__qk_layer_norm": True}, "has normalized queries and keys"),
    "repeated keys": ({"transformer_lm__kv_repeat": 2}, "has repeated keys"),
    "flattened codebooks": ({"codebooks_pattern__delay__flatten_first": 2}, "that is not a plain delay"),
    "summed conditions": ({"fuser__cross": [], "fuser__sum": ["description"]}, "fuses conditions by 'sum'"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_another_architecture_is_refused_at_load_with_the_reason(
    variant: Variant, settings: dict[str, Any], reason: str
) -> None:
    folder = variant(**settings)
    with pytest.raises(CheckpointError, match=reason):
        Engine(str(folder), device="cpu")


def test_bfloat16_on_a_cpu_gives_nearly_the_same_distribution(demo_checkpoints: Path) -> None:
    assert demo_checkpoints.is_dir()
    exact, rounded = (Engine("demo", device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    first = [
        np.stack([engine.generate("calm piano", duration=0.1, seed=seed).codes[0, 0] for seed in range(60)])
        for engine in (exact, rounded)
    ]
    again = rounded.generate("calm piano", duration=0.5, seed=1).codes
    np.testing.assert_array_equal(rounded.generate("calm piano", duration=0.5, seed=1).codes, again)
    exact.close()
    rounded.close()
    # The draws are the same; rounding changes a token only if two candidates are close.
    assert np.mean(first[0] == first[1]) > 0.9


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_a_dtype_that_the_device_does_not_compute_with_is_refused(demo_checkpoints: Path, dtype: str) -> None:
    assert demo_checkpoints.is_dir()
    with pytest.raises(ValueError, match=rf"dtype='{dtype}': must be float32 or bfloat16 on cpu"):
        Engine("demo", device="cpu", dtype=dtype)


@pytest.mark.parametrize("slots", [0, -1, 1025])
def test_a_number_of_slots_out_of_bounds_is_refused(demo_checkpoints: Path, slots: int) -> None:
    assert demo_checkpoints.is_dir()
    with pytest.raises(ValueError, match=rf"slots={slots}: must be between 1 and 1,024"):
        Engine("demo", device="cpu", slots=slots)


@pytest.mark.parametrize("frames", [0, 1, 7])
@pytest.mark.parametrize(
    "sampling",
    [{"temperature": 0.0}, {"top_k": 50}, {"top_p": 0.8}, {"top_k": 0}],
    ids=["greedy", "top-k", "top-p", "plain"],
)
@pytest.mark.parametrize("duration", [0.3, 1.1])
def test_prompts_of_any_length_give_audiocrafts_tokens_however_they_are_sampled(
    music_engine: Engine, upstream_music: MusicGen, frames: int, sampling: dict[str, Any], duration: float
) -> None:
    prompt = torch.from_numpy((0.3 * np.sin(np.arange(frames * 640) / 15)).astype(np.float32))[None]
    upstream_music.set_generation_params(duration=duration, **sampling)
    total = int(duration * 50)
    with same_draws(17, total, frames) if sampling != {"temperature": 0.0} else nullcontext():
        if frames:
            expected = upstream_music.generate_continuation(prompt[None], 32_000, ["folk band"], return_tokens=True)[1]
        else:
            expected = upstream_music.generate(["folk band"], return_tokens=True)[1]
    continuation = prompt.numpy() if frames else None
    clip = music_engine.generate("folk band", duration=duration, seed=17, continuation=continuation, **sampling)
    np.testing.assert_array_equal(clip.codes, expected[0])
