"""The engine: audiocraft's tokens, concurrent requests that don't change each other, and refusals."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from audiocraft.models import AudioGen, MusicGen
from upstream_draws import same_draws

from audiocraft_triton.contract.errors import Cancelled, InvalidRequest, Overloaded
from audiocraft_triton.engine.codec.streaming import StreamingDecoder
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.handle import GenerationHandle
from audiocraft_triton.engine.request import GenerationRequest

PATIENCE = 60  # seconds; reached only if something hangs


def music(seconds: float, rate: int) -> Any:
    """Makes a short tune, float32 [1, samples]."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 220 * 2 ** (np.floor(time * 8) % 5 / 12)
    return (0.3 * np.sin(2 * np.pi * pitch * time))[None].astype(np.float32)


def tokens_of(engine: Engine, **parameters: Any) -> Any:
    """Returns the codes of one request, without decoding."""
    return engine.submit(GenerationRequest(**parameters), decode=False).result().codes


def in_time(call: Callable[[], Any]) -> Any:
    """Returns or raises the result of a call; fails if it hangs."""
    return started(call).result(PATIENCE)


def started(call: Callable[[], Any]) -> Future[Any]:
    """Calls in a thread that does not keep the tests from ending if it hangs."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def upstream(model: MusicGen | AudioGen, text: str, seed: int, continuation: Any = None, **parameters: Any) -> Any:
    """Audio [1, samples] and tokens [4, frames] by audiocraft's public interface, with the engine's random numbers."""
    model.set_generation_params(**parameters)
    frames = int(model.duration * 50)
    prompt = 0 if continuation is None else math.ceil(continuation.shape[-1] * 50 / model.sample_rate)
    window = int(model.max_duration * 50)
    greedy = parameters.get("temperature") == 0.0
    same = same_draws(seed, frames, prompt, window if frames > window else None, int(50 * (model.extend_stride or 0)))
    with nullcontext() if greedy else same:
        if continuation is None:
            audio, tokens = model.generate([text], return_tokens=True)
        else:
            prompt = torch.from_numpy(continuation)[None]
            audio, tokens = model.generate_continuation(prompt, model.sample_rate, [text], return_tokens=True)
    return audio[0].numpy(), tokens[0].numpy()


@pytest.fixture
def engine(music_engine: Engine) -> Engine:
    return music_engine


# Equality with audiocraft


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"temperature": 0.0}, id="greedy"),
        pytest.param({"top_k": 50, "temperature": 1.3}, id="top-k"),
        pytest.param({"top_p": 0.8}, id="top-p"),
        pytest.param({"top_k": 0}, id="plain"),
        pytest.param({"cfg_coef": 1.0}, id="without guidance"),
        pytest.param({"cfg_coef": 8.0}, id="strong guidance"),
    ],
)
@pytest.mark.parametrize("text", ["slow jazz guitar with soft drums", ""], ids=["text", "empty text"])
def test_tokens_equal_audiocrafts(engine: Engine, upstream_music: MusicGen, parameters: Any, text: str) -> None:
    _, expected = upstream(upstream_music, text, 11, duration=1.0, **parameters)
    np.testing.assert_array_equal(tokens_of(engine, text=text, seed=11, duration=1.0, **parameters), expected)


def test_prompts_seeds_and_sampling_matter(engine: Engine) -> None:
    """Otherwise the equalities above could hold for a model that ignores them."""
    base = {"text": "slow jazz", "seed": 1, "duration": 1.0}
    changes = [{}, {"text": "fast rock"}, {"seed": 2}, {"top_k": 2}, {"top_p": 0.5}, {"cfg_coef": 8.0}]
    clips = [tokens_of(engine, **{**base, **change}).tobytes() for change in changes]
    assert len(set(clips)) == len(changes)


def test_sound_equals_audiocrafts(engine: Engine, upstream_music: MusicGen) -> None:
    expected, tokens = upstream(upstream_music, "happy waltz", 5, duration=0.8)
    clip = engine.generate("happy waltz", seed=5, duration=0.8)
    np.testing.assert_array_equal(clip.codes, tokens)
    np.testing.assert_allclose(clip.waveform, expected, atol=1e-5)
    assert (clip.sample_rate, clip.seed, clip.waveform.shape) == (32_000, 5, (1, 25_600))


@pytest.mark.parametrize("seconds", [0.02, 0.5, 0.513])
def test_a_continuation_equals_audiocrafts_and_begins_with_its_prompt(
    engine: Engine, upstream_music: MusicGen, seconds: float
) -> None:
    prompt = music(seconds, 32_000)
    _, expected = upstream(upstream_music, "piano", 3, prompt, duration=1.0)
    codes = tokens_of(engine, text="piano", seed=3, duration=1.0, continuation=prompt)
    np.testing.assert_array_equal(codes, expected)
    given = upstream_music.compression_model.encode(torch.from_numpy(prompt)[None])[0][0].numpy()
    np.testing.assert_array_equal(codes[:, : given.shape[1]], given)


def test_sound_beyond_the_window_equals_audiocrafts(sound_engine: Engine, upstream_sound: AudioGen) -> None:
    _, expected = upstream(upstream_sound, "rain and thunder", 8, duration=12.0)
    codes = tokens_of(sound_engine, text="rain and thunder", seed=8, duration=12.0)
    assert codes.shape == (4, 600)
    np.testing.assert_array_equal(codes, expected)


def test_a_continuation_beyond_the_window_equals_audiocrafts(sound_engine: Engine, upstream_sound: AudioGen) -> None:
    prompt = music(9.9, 16_000)
    _, expected = upstream(upstream_sound, "sea", 4, prompt, duration=10.5)
    codes = tokens_of(sound_engine, text="sea", seed=4, duration=10.5, continuation=prompt)
    assert codes.shape == (4, 525)
    np.testing.assert_array_equal(codes, expected)


def test_music_beyond_the_window_equals_audiocrafts(engine: Engine, upstream_music: MusicGen) -> None:
    prompt = music(29.9, 32_000)  # leaves little to generate in the first window
    _, expected = upstream(upstream_music, "march", 6, prompt, duration=30.5)
    np.testing.assert_array_equal(tokens_of(engine, text="march", seed=6, duration=30.5, continuation=prompt), expected)


def test_a_duration_on_which_upstreams_window_arithmetic_fails_is_generated(
    sound_engine: Engine, upstream_sound: AudioGen
) -> None:
    prompt = music(9.9, 16_000)
    with pytest.raises(AssertionError):
        upstream(upstream_sound, "sea", 4, prompt, duration=10.7)
    assert tokens_of(sound_engine, text="sea", seed=4, duration=10.7, continuation=prompt).shape == (4, 535)


# Streaming and decoding


def test_chunks_have_the_requested_length_and_join_to_the_whole_clip(engine: Engine) -> None:
    parameters = {"text": "organ", "seed": 21, "duration": 1.0}
    chunks = list(engine.submit(GenerationRequest(chunk_seconds=0.3, **parameters)))
    assert [chunk.waveform.shape for chunk in chunks] == [(1, 9600), (1, 9600), (1, 9600), (1, 3200)]
    assert [chunk.codes is None for chunk in chunks] == [True, True, True, False]
    whole = engine.submit(GenerationRequest(chunk_seconds=10, **parameters)).result()
    joined = np.concatenate([chunk.waveform for chunk in chunks], axis=1)
    np.testing.assert_allclose(joined, whole.waveform, atol=1e-5)
    np.testing.assert_array_equal(chunks[-1].codes, whole.codes)


def test_the_result_can_be_taken_again_and_is_the_same(engine: Engine) -> None:
    generation = engine.submit(GenerationRequest("organ", seed=21, duration=0.5, chunk_seconds=0.2))
    first = generation.result()
    assert first.waveform.shape == (1, 16_000)
    assert in_time(generation.result) is first


@pytest.mark.parametrize("taken", [1, 2, 3], ids=["one chunk", "two chunks", "all chunks"])
def test_the_result_is_the_whole_clip_however_many_chunks_were_taken_before(engine: Engine, taken: int) -> None:
    request = GenerationRequest("organ", seed=21, duration=0.5, chunk_seconds=0.2)
    expected = engine.submit(request).result()
    generation = engine.submit(request)
    assert len(list(itertools.islice(generation, taken))) == taken
    clip = in_time(generation.result)
    np.testing.assert_array_equal(clip.codes, expected.codes)
    np.testing.assert_allclose(clip.waveform, expected.waveform, atol=1e-5)


def test_every_iteration_begins_with_the_first_chunk_even_during_another(engine: Engine) -> None:
    generation = engine.submit(GenerationRequest("organ", seed=21, duration=1.0, chunk_seconds=0.2))
    both = [started(lambda: list(generation)) for _ in range(2)]
    one, other = (chunks.result(PATIENCE) for chunks in both)
    assert [chunk.waveform.shape for chunk in one] == [(1, 6400)] * 5
    assert [id(chunk) for chunk in one] == [id(chunk) for chunk in other]
    assert [id(chunk) for chunk in in_time(lambda: list(generation))] == [id(chunk) for chunk in one]


def test_a_requests_error_is_raised_again_and_its_traceback_does_not_grow(engine: Engine) -> None:
    generation = engine.submit(GenerationRequest("organ", duration=300.0))
    chunks = iter(generation)
    next(chunks)
    generation.cancel()
    depths = []
    for _ in range(3):
        with pytest.raises(Cancelled) as caught:
            in_time(generation.result)
        depths.append(len(caught.traceback))
    assert depths == depths[:1] * 3
    with pytest.raises(Cancelled) as raised:
        in_time(lambda: list(chunks))
    assert raised.value is caught.value


def test_codes_alone_decode_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"text": "organ", "seed": 21, "duration": 0.5}
    expected = engine.generate(**parameters).codes

    def decode(_decoder: StreamingDecoder, _pieces: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(StreamingDecoder, "decode", decode)
    with pytest.raises(AssertionError, match="decoded"):
        engine.generate(**parameters)  # the trap works
    (chunk,) = engine.submit(GenerationRequest(**parameters), decode=False)
    assert chunk.waveform.shape == (1, 0)
    np.testing.assert_array_equal(chunk.codes, expected)


def test_a_saved_clip_reads_back(engine: Engine, tmp_path: Any) -> None:
    clip = engine.generate("organ", seed=2, duration=0.3)
    clip.save(tmp_path / "clip.wav")
    samples, rate = soundfile.read(tmp_path / "clip.wav", dtype="float32")
    assert rate == 32_000
    np.testing.assert_allclose(samples, np.clip(clip.waveform[0], -1, 1), atol=1 / 32_000)
    with pytest.raises(InvalidRequest, match="format='m4a'"):
        clip.save(tmp_path / "clip.m4a")


# Concurrent requests


def test_each_of_many_concurrent_callers_gets_its_own_clip(engine: Engine) -> None:
    requests = [
        {"text": f"{word} band", "seed": seed, "duration": 0.3 + 0.1 * seed}
        for seed, word in enumerate(["jazz", "rock", "folk", "house", "funk", "swing"])
    ]
    alone = [tokens_of(engine, **request) for request in requests]
    assert len({codes.tobytes() for codes in alone}) == len(requests)
    barrier = threading.Barrier(len(requests))

    def call(request: dict[str, Any]) -> Any:
        barrier.wait(PATIENCE)
        return tokens_of(engine, **request)

    with ThreadPoolExecutor(len(requests)) as threads:
        together = list(threads.map(call, requests, timeout=PATIENCE))
    for codes, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(codes, expected)


def test_the_same_request_gives_the_same_clip_and_its_seed_is_returned(engine: Engine) -> None:
    first = engine.generate("lullaby", duration=0.5)
    again = engine.generate("lullaby", duration=0.5, seed=first.seed)
    np.testing.assert_array_equal(again.codes, first.codes)
    np.testing.assert_array_equal(again.waveform, first.waveform)


def test_generation_leaves_torchs_global_random_state_alone(engine: Engine) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    engine.generate("waltz", duration=0.3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(456)
    other = tokens_of(engine, text="waltz", duration=0.3, seed=1)
    np.testing.assert_array_equal(other, tokens_of(engine, text="waltz", duration=0.3, seed=1))


@pytest.fixture
def small_engine(demo_checkpoints: Any) -> Iterator[Engine]:
    """An engine for one test, with one slot, 2 waiting requests and a stand-in for MultiBand Diffusion."""
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu", slots=1, max_waiting=2, diffusion_decoder=_stand_in_for_diffusion)
    yield engine
    engine.close()


def _stand_in_for_diffusion(codes: Any, seed: int) -> Any:
    """Returns a sound that depends on both arguments."""
    if seed == 13:
        raise RuntimeError("diffusion failed")
    return np.concatenate([codes.astype(np.float32).reshape(1, -1), np.full((1, 1), seed, np.float32)], axis=1)


def test_more_than_max_waiting_requests_are_refused_and_the_others_are_served(small_engine: Engine) -> None:
    def submit(seed: int, duration: float = 0.2) -> GenerationHandle:
        return small_engine.submit(GenerationRequest(text="funk", seed=seed, duration=duration))

    running = submit(0, duration=300.0)
    next(iter(running))  # it has the slot
    waiting = [submit(1), submit(2)]
    with pytest.raises(Overloaded, match=r"^2 requests are already waiting: try again later$"):
        submit(3)
    assert small_engine.metrics.snapshot().rejected == 1
    running.cancel()
    clips = [generation.result().codes for generation in waiting]
    for seed, codes in enumerate(clips, start=1):
        np.testing.assert_array_equal(codes, submit(seed).result().codes)


def test_multiband_diffusion_is_given_the_codes_and_the_seed(small_engine: Engine) -> None:
    clip = small_engine.generate("folk", duration=0.2, seed=77, decoder="multiband_diffusion")
    np.testing.assert_array_equal(clip.codes, small_engine.generate("folk", duration=0.2, seed=77).codes)
    np.testing.assert_array_equal(clip.waveform[0], [*clip.codes.flatten(), 77])


def test_a_failing_decoder_fails_only_its_own_request(small_engine: Engine) -> None:
    expected = small_engine.generate("folk", duration=0.2, seed=12).waveform
    with pytest.raises(RuntimeError, match="diffusion failed"):
        small_engine.generate("folk", duration=0.2, seed=13, decoder="multiband_diffusion")
    np.testing.assert_array_equal(small_engine.generate("folk", duration=0.2, seed=12).waveform, expected)


def test_closing_serves_waiting_requests_first(demo_checkpoints: Any) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu")
    waiting = [engine.submit(GenerationRequest(text="folk", duration=0.2), decode=False) for _ in range(3)]
    engine.close()
    assert [generation.result().codes.shape for generation in waiting] == [(4, 10)] * 3


# Refusals


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 513}, "top_k=513: must be between 0 and 512, the codebook's size"),
        (
            {"decoder": "multiband_diffusion"},
            "decoder='multiband_diffusion': this model has no MultiBand Diffusion; use encodec",
        ),
        (
            {"melody": music(1.0, 32_000)},
            "melody='audio': checkpoint 'demo' has no melody conditioning",
        ),
        (
            {"continuation": music(30.5, 32_000), "duration": 60.0},
            "continuation='30.50 s': must be shorter than 30 seconds",
        ),
        (
            {"continuation": music(30.0, 32_000), "duration": 31.0},
            "continuation='30.00 s': must be shorter than 30 seconds",
        ),
        (
            {"continuation": music(1.5, 32_000), "duration": 1.0},
            "duration=1.0: must be longer than the continuation, which lasts 1.50 seconds",
        ),
        (
            {"continuation": music(1.0, 32_000), "duration": 1.0},
            "duration=1.0: must be longer than the continuation, which lasts 1.00 seconds",
        ),
    ],
)
def test_a_request_that_this_checkpoint_cannot_serve_is_refused_at_submission(
    engine: Engine, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        engine.submit(GenerationRequest(**parameters))
    assert str(caught.value) == message


@pytest.mark.parametrize("duration", [1.0, 1.01, 1.019])
@pytest.mark.parametrize("samples", [31_359, 31_360, 31_361, 31_520, 31_999, 32_000])
def test_a_continuation_of_nearly_the_duration_is_refused_or_continued_but_never_fails(
    engine: Engine, duration: float, samples: int
) -> None:
    request = GenerationRequest(duration=duration, continuation=music(2.0, 32_000)[:, :samples])
    frames = -(-samples // 640)
    if frames >= 50:
        with pytest.raises(InvalidRequest, match="must be longer than the continuation"):
            engine.submit(request)
    else:
        assert engine.submit(request, decode=False).result().codes.shape == (4, 50)


def test_one_frame_more_than_the_continuation_is_enough(engine: Engine) -> None:
    prompt = music(0.14, 32_000)  # 7 frames, and slightly more in floating point: 0.14 × 50
    assert tokens_of(engine, duration=0.16, continuation=prompt).shape == (4, 8)


@pytest.mark.parametrize("temperature", [1e-45, 1e-38, 1e-7])
def test_a_temperature_next_to_0_is_greedy(engine: Engine, temperature: float) -> None:
    greedy = tokens_of(engine, text="pop", seed=1, duration=0.3, temperature=0.0)
    np.testing.assert_array_equal(tokens_of(engine, text="pop", seed=1, duration=0.3, temperature=temperature), greedy)


def test_a_low_temperature_is_greedy_even_if_a_token_of_probability_0_has_the_least_draw(engine: Engine) -> None:
    """With seed 55 that is token 167 of codebook 0 in frame 2."""
    greedy = tokens_of(engine, text="pop", seed=55, duration=0.1, temperature=0.0)
    assert greedy[0, 2] != 167
    for top_k in (0, 250):
        codes = tokens_of(engine, text="pop", seed=55, duration=0.1, temperature=0.001, top_k=top_k)
        np.testing.assert_array_equal(codes, greedy)


def test_topk_of_the_whole_codebook_is_allowed(engine: Engine) -> None:
    assert tokens_of(engine, top_k=512, duration=0.1).shape == (4, 5)


def test_an_engine_describes_its_clips(engine: Engine, sound_engine: Engine) -> None:
    for made, rate in ((engine, 32_000), (sound_engine, 16_000)):
        facts = (made.sample_rate, made.channels, made.frame_rate, made.card, made.takes_melody)
        assert facts == (rate, 1, 50.0, 512, False)


def test_a_closed_engine_refuses_requests_with_the_reason(demo_checkpoints: Any) -> None:
    assert demo_checkpoints.is_dir()
    engine = Engine("demo", device="cpu")
    engine.close()
    with pytest.raises(RuntimeError, match="the engine is closed"):
        engine.submit(GenerationRequest(duration=0.1))
