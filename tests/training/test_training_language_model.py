"""Trains a checkpoint from audio with captions; its language model generates the clip of each caption."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from audiocraft.modules.conditioners import ConditioningAttributes
from audiocraft.solvers.musicgen import MusicGenSolver
from numpy.typing import NDArray

from audiocraft_triton.checkpoints.layout import CODEC_FILE, LM_FILE, resolve
from audiocraft_triton.checkpoints.loading import load_codec, load_lm
from audiocraft_triton.checkpoints.reading import read_state
from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.engine.engine import Engine
from training.architecture import SOUND as SOUND_KIND
from training.data.manifest import Clip, write_manifest
from training.language_model import LanguageModelRecipe, LanguageModelTrainer, train_language_model
from training.runtime import Worker
from training.text_encoder import TextEncoderSizes, train_tokenizer
from training.token_batches import TokenBatches
from training.tokens import encode_dataset, read_tokens

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
ALONE = Worker(0, 1, CPU)
SAMPLE_RATE = 16_000
SECONDS = 0.5
FRAMES = 25
CAPTIONS = {
    "train/0.wav": ("a low hum", "low humming"),
    "train/1.wav": ("a high whistle over the deep sea", "whistling"),
    "train/2.wav": ("Rain in C minor", "drizzle"),
    "train/3.wav": ("a siren", "an alarm rising quickly"),
    "validation/0.wav": ("a low hum",),
}
TINY = LanguageModelRecipe(
    replace(SOUND_KIND, max_duration=SECONDS), dim=32, heads=2, layers=2, card=512, steps=4, batch=4, warm_up=1,
    text=TextEncoderSizes(width=16, layers=1, heads=2, head_width=8, feed_forward=32, vocabulary=120),
)  # fmt: skip


def sound(number: int) -> NDArray[np.float64]:
    """Returns float [samples]: a hum, a whistle, noise, a rising tone; from number 4 on, other hums."""
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(number).normal(size=len(time))
    rising = np.sin(2 * np.pi * (300 + 800 * time) * time)
    shapes = [np.sin(2 * np.pi * 90 * time), np.sin(2 * np.pi * 2500 * time), noise, rising]
    shape = shapes[number] if number < len(shapes) else np.sin(2 * np.pi * 40 * number * time)
    return np.asarray(0.2 * shape + 0.01 * noise)


def write_dataset(folder: Path) -> Path:
    """Writes a clip for each caption, and the manifest."""
    clips = []
    for number, (name, captions) in enumerate(CAPTIONS.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(number), SAMPLE_RATE, subtype="PCM_16")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        clips.append(
            Clip(name, path.parent.name, number, SECONDS, SAMPLE_RATE, captions, labels={}, sha256=digest)
        )  # fmt: skip
    write_manifest(folder, clips)
    return folder


def quiet(_line: str) -> None:
    """Reports nothing."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def tokens(dataset: Path, demo_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    encode_dataset(dataset, demo_checkpoints / "sound", folder, batch=3, report=quiet)
    return folder


def weights(out: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_state(out / LM_FILE)["best_state"]
    return state


def test_codes_equal_those_of_each_clip_alone(dataset: Path, tokens: Path, demo_checkpoints: Path) -> None:
    codec = load_codec(resolve(str(demo_checkpoints / "sound")), CPU)
    split = read_tokens(tokens, "train")
    assert split.codes.dtype == torch.int16
    assert split.captions == tuple(captions for name, captions in CAPTIONS.items() if name.startswith("train"))
    assert (split.card, split.seconds) == (512, SECONDS)
    for number, codes in enumerate(split.codes):
        audio, _rate = soundfile.read(dataset / f"train/{number}.wav", dtype="float32")
        with torch.inference_mode():
            alone = codec.encode(torch.from_numpy(audio)[None, None])[0][0]
        assert torch.equal(codes.long(), alone)


def test_clips_are_only_encoded_again_for_another_codec(dataset: Path, tmp_path: Path, demo_checkpoints: Path) -> None:
    codec = tmp_path / "codec"
    codec.mkdir()
    shutil.copy(demo_checkpoints / "sound" / CODEC_FILE, codec)
    lines: list[str] = []
    for _call in range(2):
        encode_dataset(dataset, codec, tmp_path / "tokens", batch=8, report=lines.append)
    assert ["already" in line for line in lines] == [False, False, True, True]
    package = read_state(codec / CODEC_FILE)
    package["best_state"]["quantizer.vq.layers.0._codebook.embed"] *= 0.5
    torch.save(package, codec / CODEC_FILE)
    encode_dataset(dataset, codec, tmp_path / "tokens", batch=8, report=lines.append)
    assert ["already" in line for line in lines[4:]] == [False, False]


def test_a_clip_of_another_length_is_refused(tmp_path: Path, demo_checkpoints: Path) -> None:
    write_dataset(tmp_path)
    soundfile.write(tmp_path / "train/2.wav", sound(2)[:-1], SAMPLE_RATE, subtype="PCM_16")
    with pytest.raises(InvalidRequest, match=r"train/2\.wav.* has 7,999 samples"):
        encode_dataset(tmp_path, demo_checkpoints / "sound", tmp_path / "tokens", batch=8, report=quiet)


def test_the_tokenizer_folds_case_and_knows_every_character(tmp_path: Path) -> None:
    from transformers import T5Tokenizer

    captions = [caption for captions in CAPTIONS.values() for caption in captions]
    train_tokenizer(captions, 120).save_pretrained(tmp_path)
    tokenizer = T5Tokenizer.from_pretrained(tmp_path)
    everything = "".join(map(chr, range(33, 127)))
    assert tokenizer.unk_token_id not in tokenizer(everything)["input_ids"]
    assert tokenizer("A LOW Hum")["input_ids"] == tokenizer("a low hum")["input_ids"]
    assert len(tokenizer("a low hum")["input_ids"]) < len("a low hum")
    again = train_tokenizer(reversed(captions), 120)
    assert again.get_vocab() == tokenizer.get_vocab()


def test_the_loss_equals_upstreams_for_each_clip_alone(tokens: Path, tmp_path: Path) -> None:
    split = read_tokens(tokens, "train")
    torch.manual_seed(0)
    trainer = LanguageModelTrainer(TINY, split, split, ALONE)
    trainer.lm.eval()
    trainer.write(tmp_path)
    upstream = load_lm(resolve(str(tmp_path)), CPU)
    for batch, captions in zip(trainer.held_out.in_order(1), split.captions, strict=True):
        described = [ConditioningAttributes(text={"description": captions[0]})]
        output = upstream.compute_predictions(batch.codes, described, keep_only_valid_steps=False)
        _mean, losses = MusicGenSolver._compute_cross_entropy(
            SimpleNamespace(), output.logits, batch.codes, output.mask
        )
        torch.testing.assert_close(trainer.losses(batch), torch.stack(losses), rtol=1e-5, atol=1e-6)


def test_a_longer_caption_in_the_batch_does_not_change_a_captions_effect(tokens: Path) -> None:
    split = read_tokens(tokens, "train")
    torch.manual_seed(0)
    trainer = LanguageModelTrainer(TINY, split, split, ALONE)
    trainer.lm.eval()
    batch = next(trainer.held_out.in_order(1))
    assert int(batch.text["attention_mask"].sum()) < batch.text["attention_mask"].shape[1]
    length = int(batch.text["attention_mask"].sum())
    unpadded = replace(batch, text={name: values[:, :length] for name, values in batch.text.items()})
    torch.testing.assert_close(trainer.losses(batch), trainer.losses(unpadded))


def test_batches_hold_the_clips_from_the_drawn_start(tokens: Path) -> None:
    split = read_tokens(tokens, "train")
    captions = [caption for captions in split.captions for caption in captions]
    tokenizer = train_tokenizer(captions, 120)
    batches = TokenBatches(split, tokenizer, FRAMES, CPU)
    torch.manual_seed(1)
    whole = batches.draw(64, cut_share=0.0, text_dropout=0.0)
    names = tokenizer.batch_decode(whole.text["input_ids"], skip_special_tokens=True)
    for codes, name in zip(whole.codes, names, strict=True):
        (clip,) = [index for index, own in enumerate(split.captions) if name in [caption.lower() for caption in own]]
        assert torch.equal(codes, split.codes[clip].long())
    assert len(set(names)) == len(captions)
    assert whole.described.all()
    cut = batches.draw(64, cut_share=1.0, text_dropout=1.0)
    ended = (cut.codes == split.card).sum(dim=-1)
    assert ended.min() >= 1
    assert ended.max() <= FRAMES - FRAMES // 2
    assert not cut.described.any()


def test_each_caption_generates_its_own_clip(tokens: Path, demo_checkpoints: Path, tmp_path: Path) -> None:
    shutil.copy(demo_checkpoints / "sound" / CODEC_FILE, tmp_path)
    recipe = replace(
        TINY, dim=64, steps=250, batch=8, dropout=0.0, cut_share=0.0, text_dropout=0.1, learning_rate=4e-3,
        warm_up=20, average_decay=0.9,
    )  # fmt: skip
    assert train_language_model(tokens, tmp_path / "run", tmp_path, recipe, report=quiet)
    split = read_tokens(tokens, "train")
    engine = Engine(str(tmp_path), device="cpu")
    try:
        for codes, captions in zip(split.codes.numpy(), split.captions, strict=True):
            for caption in (*captions, captions[0].upper()):
                clip = engine.generate(caption, duration=SECONDS, temperature=0.0, cfg_coef=1.5)
                np.testing.assert_array_equal(clip.codes, codes, err_msg=caption)
    finally:
        engine.close()


def test_a_resumed_training_writes_the_same_model(tokens: Path, tmp_path: Path) -> None:
    assert train_language_model(tokens, tmp_path / "run", tmp_path / "straight", TINY, report=quiet)
    done = [
        train_language_model(tokens, tmp_path / "pieces", tmp_path / "resumed", TINY, minutes=0.0, report=quiet)
        for _call in range(TINY.steps)
    ]
    assert done == [False, False, False, True]
    straight, resumed = weights(tmp_path / "straight"), weights(tmp_path / "resumed")
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name
    encoders = [load_lm(resolve(str(tmp_path / out)), CPU) for out in ("straight", "resumed")]
    first, second = (lm.condition_provider.conditioners["description"].t5.state_dict() for lm in encoders)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_tokens_of_another_codec_than_the_checkpoints_are_refused(
    tokens: Path, demo_checkpoints: Path, tmp_path: Path
) -> None:
    package = read_state(demo_checkpoints / "sound" / CODEC_FILE)
    package["best_state"]["encoder.model.0.conv.conv.bias"] += 1.0
    torch.save(package, tmp_path / CODEC_FILE)
    with pytest.raises(InvalidRequest, match="holds another codec"):
        train_language_model(tokens, tmp_path / "run", tmp_path, TINY, report=quiet)


def test_tokens_stay_valid_when_the_codecs_decoder_has_learned_more(
    tokens: Path, demo_checkpoints: Path, tmp_path: Path
) -> None:
    package = read_state(demo_checkpoints / "sound" / CODEC_FILE)
    package["best_state"]["decoder.model.0.conv.conv.bias"] += 1.0
    torch.save(package, tmp_path / CODEC_FILE)
    assert train_language_model(tokens, tmp_path / "run", tmp_path, TINY, report=quiet)


def test_clips_shorter_than_a_segment_are_refused(tokens: Path, tmp_path: Path) -> None:
    longer = replace(TINY, kind=replace(SOUND_KIND, max_duration=1.0))
    with pytest.raises(InvalidRequest, match="must be at least 50"):
        train_language_model(tokens, tmp_path / "run", tmp_path / "out", longer, report=quiet)
