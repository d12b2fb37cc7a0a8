"""The sound dataset: equal seeds give equal clips, captions fit the sounds, and test material is held out."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocraft_triton.contract.errors import InvalidRequest
from training.data import samples as samples_module
from training.data.manifest import read_manifest
from training.data.procedural_sounds import PROCEDURAL_SOUNDS
from training.data.sample_kinds import HELD_OUT_SAMPLES, SAMPLE_KINDS, sample_names
from training.data.samples import (
    fetch_samples,
    prepare_samples,
    read_samples,
    render_sample,
)
from training.data.sound_effects import compose_sound
from training.data.sounds import build_sounds
from training.data.synthesis import (
    HELD_OUT,
    SAMPLE_RATE,
    Draw,
    Signal,
)

# Words of which every caption of a sound contains at least one.
CAPTION_WORDS = {
    "rain": "rain|downpour",
    "wind": "wind|breeze",
    "ocean": "wave|sea",
    "thunder": "thunder",
    "fire": "fire|flames",
    "stream": "water|stream|brook|river",
    "bubbles": "bubbl",
    "dripping": "drip|drops",
    "birds": "bird",
    "crickets": "cricket",
    "owl": "owl",
    "beep": "beep",
    "alarm_clock": "alarm clock",
    "alarm": "alarm",
    "siren": "siren",
    "phone": "phone",
    "sweep": "tone|sweep|pitch",
    "dial_tone": "tone|signal|busy",
    "bell": "bell",
    "church_bell": "church",
    "whistle": "whistl",
    "horn": "horn|honk",
    "game_coin": "coin",
    "laser": "laser",
    "sonar": "sonar",
    "static": "noise|static|radio",
    "engine": "engine|motor",
    "helicopter": "helicopter|chopper",
    "train": "train",
    "explosion": "explo|blast",
    "hum": "hum|power line",
    "vacuum_cleaner": "vacuum",
    "machine_gun": "machine gun",
    "typing": "typing|keyboard",
    "clock": "clock",
    "knocking": "knock",
    "footsteps": "steps|somebody (walking|running)",
    "kick": "kick|bass drum",
    "snare": "snare",
    "hi_hat": "hi-hat",
    "drum_loop": "drum|beat|percussion",
    "applause": "clap|applau",
    "heartbeat": "heart",
}


def draw(seed: int, *, held_out: bool = False) -> Draw:
    return Draw(np.random.Generator(np.random.PCG64(seed)), held_out=held_out)


@pytest.fixture(scope="module")
def recordings() -> dict[str, Signal]:
    """Stand-ins for the recordings: each is a tone with its own frequency."""
    at = np.arange(4000) / SAMPLE_RATE
    return {name: np.sin(2 * np.pi * (200 + 20 * n) * at) for n, name in enumerate(sample_names())}


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory, recordings: dict[str, Signal]) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for name, waveform in recordings.items():
        soundfile.write(folder / f"{name}.flac", waveform * 0.5, SAMPLE_RATE)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", PROCEDURAL_SOUNDS)
def test_every_sound_is_audible_and_its_phrases_describe_it(name: str) -> None:
    for seed in range(4):
        rendering = PROCEDURAL_SOUNDS[name].render(draw(seed), 2 * SAMPLE_RATE)
        assert rendering.waveform.shape == (2 * SAMPLE_RATE,)
        assert np.isfinite(rendering.waveform).all()
        assert np.sqrt(np.mean(rendering.waveform**2)) > 0.01
        assert len(rendering.phrases) >= 3
        for phrase in rendering.phrases:
            assert re.search(CAPTION_WORDS[name], phrase), phrase
            assert phrase == " ".join(phrase.split()), "no gaps of absent words"
        for modifier in rendering.modifiers:
            assert modifier in rendering.phrases[0]


def test_words_for_speed_follow_the_speed() -> None:
    def onsets(waveform: Signal) -> int:
        loud = np.abs(waveform).reshape(-1, 80).max(axis=1) > 0.3 * np.abs(waveform).max()
        return int(np.sum(loud[1:] & ~loud[:-1]))

    counted: dict[str, list[int]] = {"slow": [], "fast": []}
    for seed in range(30):
        rendering = PROCEDURAL_SOUNDS["beep"].render(draw(seed), 10 * SAMPLE_RATE)
        for speed in set(rendering.modifiers) & set(counted):
            counted[speed].append(onsets(rendering.waveform))
    assert min(map(len, counted.values())) >= 3
    assert max(counted["slow"]) < min(counted["fast"])


def test_a_clip_depends_only_on_its_seed_split_and_number() -> None:
    forwards = [compose_sound(7, "train", index, seconds=1) for index in range(6)]
    backwards = [compose_sound(7, "train", index, seconds=1) for index in reversed(range(6))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.waveform.tobytes() == other.waveform.tobytes()
        assert (one.seed, one.labels, one.captions) == (other.seed, other.labels, other.captions)
    elsewhere = [(8, "train"), (7, "validation"), (7, "test")]
    assert len({compose_sound(seed, split, 0, seconds=1).seed for seed, split in [(7, "train"), *elsewhere]}) == 4


def test_clips_are_neither_silent_nor_clipped_and_their_captions_hold_their_modifiers() -> None:
    counts = {1: 0, 2: 0}
    for index in range(60):
        clip = compose_sound(3, "train", index, seconds=3)
        waveform = clip.waveform / 32768
        assert clip.waveform.dtype == np.int16
        assert clip.waveform.shape == (3 * SAMPLE_RATE,)
        assert np.abs(waveform).max() < 0.96
        assert -32 < 20 * np.log10(np.sqrt(np.mean(waveform**2))) < -16
        assert 3 <= len(clip.captions) <= 5
        assert len(set(clip.captions)) == len(clip.captions)
        counts[len(clip.labels["sounds"])] += 1
        assert all(modifier in clip.captions[0] for modifier in clip.labels["modifiers"])
        for caption in clip.captions:
            assert all(re.search(CAPTION_WORDS[sound], caption) for sound in clip.labels["sounds"]), caption
        assert clip.labels["group"] == clip.labels["sounds"][0]
        assert clip.labels["source"] == "procedural"
    assert 5 <= counts[2] <= 27, "about a quarter are pairs"


def test_rain_on_a_window_is_a_frequent_caption() -> None:
    captions = [compose_sound(5, "train", index, seconds=1).captions for index in range(200)]
    assert sum("rain on a window" in caption for clip in captions for caption in clip) >= 8


def test_only_the_test_split_draws_from_held_out_ranges() -> None:
    def is_held_out(value: float) -> bool:
        return any(low <= value < high for low, high in HELD_OUT)

    train, test = draw(1), draw(1, held_out=True)
    assert not any(is_held_out(train.dial()) for _ in range(500))
    assert all(is_held_out(test.dial()) for _ in range(500))


def test_only_the_test_split_has_held_out_recordings(recordings: dict[str, Signal]) -> None:
    silent = {name: np.zeros(4000) for name in recordings}
    for held_out in (False, True):
        allowed = {name: recordings[name] for name in recordings if (name in HELD_OUT_SAMPLES) == held_out}
        for seed in range(150):
            _, rendering = render_sample(draw(seed, held_out=held_out), 8000, {**silent, **allowed}, held_out=held_out)
            assert np.abs(rendering.waveform).max() > 0, "a recording of the other splits was played"
    assert 0.08 < len(HELD_OUT_SAMPLES) / len(sample_names()) < 0.15
    assert set(sample_names()) >= HELD_OUT_SAMPLES
    for kind in SAMPLE_KINDS:
        assert set(kind.names) - HELD_OUT_SAMPLES, f"{kind.phrases[0]} is never trained on"
        assert all(modifier in kind.phrases[0] for modifier in kind.modifiers)


def test_recordings_are_mixed_in_and_labelled_as_a_source(recordings: dict[str, Signal]) -> None:
    clips = [compose_sound(2, "train", index, seconds=1, recordings=recordings) for index in range(120)]
    sources = [clip.labels["source"] for clip in clips]
    assert set(sources) == {"procedural", "samples", "mixed"}
    assert sources.count("procedural") > 80


@pytest.mark.parametrize("with_samples", [False, True])
def test_the_dataset_is_the_same_whatever_the_number_of_workers(
    tmp_path: Path, sample_folder: Path, with_samples: bool
) -> None:
    clips = {"train": 36, "validation": 2, "test": 2}
    samples = sample_folder if with_samples else None
    for workers in (1, 2):
        build_sounds(tmp_path / str(workers), clips, samples=samples, workers=workers, seed=1, seconds=1, report=print)
    assert files(tmp_path / "1") == files(tmp_path / "2")
    rows = read_manifest(tmp_path / "1", "train")
    assert len(rows) == 36
    first = compose_sound(1, "train", 0, seconds=1, recordings=read_samples(sample_folder) if with_samples else None)
    audio, rate = soundfile.read(tmp_path / "1" / rows[0].file, dtype="int16")
    assert rate == rows[0].sample_rate == SAMPLE_RATE
    assert np.array_equal(audio, first.waveform)
    assert tuple(rows[0].captions) == first.captions
    assert soundfile.info(tmp_path / "1" / rows[0].file).subtype == "PCM_16"


def test_an_interrupted_build_resumes_where_it_stopped(tmp_path: Path) -> None:
    def build(folder: Path, count: int) -> list[str]:
        said: list[str] = []
        build_sounds(folder, {"train": count}, samples=None, workers=1, seed=1, seconds=1, report=said.append)
        return said

    build(tmp_path / "whole", 6)
    build(tmp_path / "resumed", 4)
    (tmp_path / "resumed" / "train" / "000001.wav").write_bytes(b"torn")
    (tmp_path / "resumed" / "train" / "000002.wav").unlink()
    assert "(2 existed already)" in build(tmp_path / "resumed", 6)[-1]
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")


def test_a_build_killed_in_the_middle_keeps_its_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.data import sounds

    def fails_late(seed: int, split: str, index: int, **others: object) -> object:
        if index == 20:
            raise KeyboardInterrupt
        return compose_sound(seed, split, index, **others)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(sounds, "compose_sound", fails_late)
        with pytest.raises(KeyboardInterrupt):
            build_sounds(tmp_path / "killed", {"train": 24}, samples=None, workers=1, seed=1, seconds=1, report=print)
    assert not (tmp_path / "killed" / "manifest.jsonl").exists()
    said: list[str] = []
    build_sounds(tmp_path / "killed", {"train": 24}, samples=None, workers=1, seed=1, seconds=1, report=said.append)
    build_sounds(tmp_path / "whole", {"train": 24}, samples=None, workers=1, seed=1, seconds=1, report=print)
    assert "(20 existed already)" in said[-1]
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"clips": {"training": 1}}, "clips"),
        ({"clips": {"train": -1}}, "clips"),
        ({"clips": {}}, "clips"),
        ({"workers": 0}, "workers"),
        ({"seconds": 0.5}, "seconds"),
        ({"seconds": 61.0}, "seconds"),
        ({"seed": -1}, "seed"),
        ({"samples": Path("nowhere")}, "samples"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, object], field: str) -> None:
    right: dict[str, object] = {"clips": {"train": 1}, "samples": None, "workers": 1, "seed": 1, "seconds": 1.0}
    with pytest.raises(InvalidRequest) as caught:
        build_sounds(tmp_path, **{**right, **wrong}, report=print)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert not (tmp_path / "manifest.jsonl").exists()


def test_a_folder_with_other_settings_is_refused(tmp_path: Path) -> None:
    build_sounds(tmp_path, {"train": 1}, samples=None, workers=1, seed=1, seconds=1, report=print)
    with pytest.raises(InvalidRequest, match="other settings"):
        build_sounds(tmp_path, {"train": 1}, samples=None, workers=1, seed=2, seconds=1, report=print)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="must be one of train"):
        compose_sound(1, "dev", 0)


def test_an_archive_becomes_a_folder_of_16_khz_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "samples.tgz"
    stereo = np.random.default_rng(1).uniform(-0.5, 0.5, (4410, 2))
    with tarfile.open(archive, "w:gz") as package:
        for name in ["LICENSE", "PROVENANCE.md", *(f"samples/{sample}.flac" for sample in sample_names())]:
            content = io.BytesIO()
            if name.endswith(".flac"):
                soundfile.write(content, stereo, 44100, format="FLAC")
            else:
                content.write(b"CC0")
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content.getvalue())
            content.seek(0)
            package.addfile(entry, content)
    with pytest.raises(InvalidRequest, match="SHA-512 differs"):
        prepare_samples(archive, tmp_path / "refused")
    monkeypatch.setattr(samples_module, "SHA512", samples_module.sha512(archive))
    assert prepare_samples(archive, tmp_path / "prepared") == len(sample_names())
    assert {recording.shape for recording in read_samples(tmp_path / "prepared").values()} == {(1600,)}
    assert (tmp_path / "prepared" / "LICENSE").read_bytes() == b"CC0"


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no such archive"):
        prepare_samples(tmp_path / "none.tgz", tmp_path / "out")


def test_fetching_without_npm_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidRequest, match="install npm"):
        fetch_samples(tmp_path / "samples")
