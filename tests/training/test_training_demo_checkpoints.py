"""The shipped demo checkpoints are small, safe to load, and follow their prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.request import GenerationRequest
from training.measures.discriminators import Judge
from training.measures.signal import percussive_ratio

SHIPPED = Path(__file__).resolve().parents[2] / "audiocraft_triton" / "checkpoints" / "demo"
MOST_BYTES = 20_000_000
SAFE = {".safetensors", ".json", ".md", ".flac"}
CPU = torch.device("cpu")

Waveform = NDArray[np.float32]


@pytest.fixture(scope="module")
def music() -> Iterator[Engine]:
    with closing(Engine(str(SHIPPED / "music"), device="cpu", max_waiting=16)) as engine:
        yield engine


def clips(engine: Engine, *texts: str, seconds: float = 4.0) -> list[Waveform]:
    """Generates a clip for each text, all together."""
    running = [engine.submit(GenerationRequest(text, duration=seconds, seed=5)) for text in texts]
    return [generation.result().waveform[0] for generation in running]


def test_the_files_are_small_and_hold_no_pickle() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= SAFE
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_music_is_audible_unclipped_and_has_its_sample_rate(music: Engine) -> None:
    assert music.sample_rate == 32_000
    for clip in clips(music, "slow calm solo piano in C major", "fast energetic rock with drums", ""):
        assert len(clip) == 4 * 32_000
        assert np.abs(clip).max() < 1.0
        assert clip.std() > 0.01


def test_prompts_control_drums(music: Engine) -> None:
    with_drums = clips(music, "fast energetic rock with distorted guitar and drums", "happy disco with drums")
    without = clips(music, "calm strings, no drums", "slow solo piano")
    ratios = [[percussive_ratio(clip, 32_000) for clip in group] for group in (with_drums, without)]
    assert min(ratios[0]) > max(ratios[1])


def test_sounds_are_audible_and_have_their_sample_rate() -> None:
    with closing(Engine(str(SHIPPED / "sound"), device="cpu")) as engine:
        assert engine.sample_rate == 16_000
        (rain,) = clips(engine, "rain on a window", seconds=2.0)
    assert len(rain) == 2 * 16_000
    assert 0.01 < rain.std() < 0.5


def test_a_source_clip_scores_as_more_real_than_its_reconstruction_noise_and_generated_music(music: Engine) -> None:
    source = soundfile.read(SHIPPED / "source.flac", dtype="float32")[0]
    codec = load_codec(resolve(str(SHIPPED / "music")), CPU)
    with torch.inference_mode():
        rebuilt = codec.decode(codec.encode(torch.from_numpy(source)[None, None])[0])[0, 0].numpy()
    noise = (0.1 * np.random.default_rng(0).standard_normal(len(source))).astype(np.float32)
    generated = clips(music, "slow calm solo piano in C major")[0]
    judge = Judge(resolve(str(SHIPPED / "music")))
    assert judge.realness(source, 32_000) > 0.5
    assert max(judge.realness(clip, 32_000) for clip in (rebuilt, noise, generated)) < 0.5


def test_the_model_card_lists_every_measure() -> None:
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    measured = json.loads((SHIPPED / "measures.json").read_text())["measures"]
    assert len(measured) > 30
    for measure in measured:
        assert f"| {measure['name']} |" in card
