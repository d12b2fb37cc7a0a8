"""The music dataset: equal seeds give equal pieces, captions are true, and the audio is audible and not clipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.captions import MOOD_WORDS, TEMPO_WORDS
from training.data.composer import compose
from training.data.harmony import chord, voicing
from training.data.manifest import (
    SPLITS,
    Clip,
    read_manifest,
    write_manifest,
)
from training.data.midi import to_midi
from training.data.music import build_music, render
from training.data.notes import DRUM_CHANNEL, Piece
from training.data.spec import draw_spec
from training.data.styles import HELD_OUT_KEYS, HELD_OUT_STYLES, STYLES
from training.data.synthesizer import SAMPLE_RATE, Synthesizer

SEED = 3


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return [compose(SEED, "train", index) for index in range(300)]


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer()


def in_seconds(piece: Piece, role: str) -> NDArray[np.float64]:
    return np.sort([note.start * 60 / piece.bpm for part in piece.parts if part.role == role for note in part.notes])


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_a_piece_depends_only_on_seed_split_and_index(pieces: list[Piece]) -> None:
    assert compose(SEED, "train", 17) == pieces[17]
    for other in (compose(SEED + 1, "train", 17), compose(SEED, "validation", 17), compose(SEED, "train", 18)):
        assert other.parts != pieces[17].parts


def test_no_two_pieces_share_a_melody(pieces: list[Piece]) -> None:
    melodies = {tuple(note.pitch for note in piece.parts[0].notes[:16]) for piece in pieces}
    assert len(melodies) >= 0.97 * len(pieces)


@pytest.mark.parametrize("split", SPLITS)
def test_only_the_test_split_has_held_out_keys_and_styles(split: str) -> None:
    rng = np.random.default_rng(SEED)
    specs = [draw_spec(rng, split) for _ in range(2000)]
    held_out = [spec.style.name in HELD_OUT_STYLES or (spec.key, spec.mode) in HELD_OUT_KEYS for spec in specs]
    assert [spec.held_out for spec in specs] == held_out
    if split == "test":
        assert 0.2 < np.mean(held_out) < 0.4
        assert {spec.style.name for spec in specs} == set(STYLES)
    else:
        assert not any(held_out)


def test_labels_mark_held_out_pieces() -> None:
    tested = [compose(SEED, "test", index).labels for index in range(40)]
    assert {labels["held_out"] for labels in tested} == {True, False}
    for labels in tested:
        rare = labels["style"] in HELD_OUT_STYLES or (labels["key"], labels["mode"]) in HELD_OUT_KEYS
        assert labels["held_out"] == rare


def test_tempo_words_are_thirds_of_the_styles_tempo_range(pieces: list[Piece]) -> None:
    for piece in pieces:
        low, high = STYLES[piece.labels["style"]].bpm
        third = int((piece.bpm - low) / (high - low) * 3)
        assert piece.labels["tempo_word"] == ("slow", "medium", "fast")[third]
        assert piece.labels["bpm"] == piece.bpm


def test_fast_melodies_have_more_notes_per_second_than_slow_ones_in_every_style() -> None:
    rates: dict[str, dict[str, list[float]]] = {}
    for index in range(450):
        piece = compose(SEED, "validation", index)
        rate = float(np.sum(in_seconds(piece, "lead") < 30))
        rates.setdefault(piece.labels["style"], {}).setdefault(piece.labels["tempo_word"], []).append(rate)
    assert len(rates) >= 20
    for style, by_word in rates.items():
        assert np.mean(by_word["fast"]) > 2 * np.mean(by_word["slow"]), style


def test_every_player_plays_from_the_start_to_the_end(pieces: list[Piece]) -> None:
    for piece in pieces:
        assert min(in_seconds(piece, part.role)[0] for part in piece.parts) < 0.3
        for part in piece.parts:
            starts = in_seconds(piece, part.role)
            assert starts[0] < 4, (piece.captions[0], part.role)
            assert starts[-1] > 20, (piece.captions[0], part.role)


def test_moods_differ_in_sound(pieces: list[Piece]) -> None:
    def loudness(mood: str) -> list[int]:
        return [note.velocity for piece in pieces if piece.labels["mood"] == mood for note in piece.parts[0].notes]

    assert np.mean(loudness("calm")) + 25 < np.mean(loudness("energetic"))
    modes = {mood: {p.labels["mode"] for p in pieces if p.labels["mood"] == mood} for mood in MOOD_WORDS}
    assert modes["happy"] == modes["bright"] == {"major"}
    assert modes["sad"] == modes["dark"] == {"minor"}


def test_the_dataset_has_enough_pieces_of_the_measured_kinds() -> None:
    rng = np.random.default_rng(SEED)
    styles = [draw_spec(rng, "train").style for _ in range(3000)]
    names = [style.name for style in styles]
    for group in ("solo piano", "strings", "rock"):
        assert names.count(group) >= 0.08 * len(names), group
    assert 0.45 <= np.mean([style.drums is not None for style in styles]) <= 0.55


# --- captions ---------------------------------------------------------------------------------------------------------


def test_captions_state_only_facts(pieces: list[Piece]) -> None:
    for piece in pieces:
        labels = piece.labels
        plays_drums = any(part.channel == DRUM_CHANNEL for part in piece.parts)
        assert labels["drums"] == plays_drums
        assert 3 <= len(piece.captions) == len(set(piece.captions))
        for caption in piece.captions:
            assert any(subject in caption for subject in STYLES[labels["style"]].subjects)
            for tempo, words in TEMPO_WORDS.items():
                assert tempo == labels["tempo_word"] or not any(f" {word} " in f" {caption} " for word in words)
            for mood, moods in MOOD_WORDS.items():
                assert mood == labels["mood"] or not any(f" {word} " in f" {caption} " for word in moods)
            for mode in ("major", "minor"):
                assert f" {mode}" not in caption or f"{labels['key']} {labels['mode']}" in caption
            if "drums" in caption:
                assert plays_drums == ("no drums" not in caption and "without drums" not in caption)


def test_captions_name_keys_about_half_the_time_and_style_alone_sometimes(pieces: list[Piece]) -> None:
    everything = [caption for piece in pieces for caption in piece.captions]
    assert 0.35 < np.mean(["major" in caption or "minor" in caption for caption in everything]) < 0.6
    assert {"rock", "solo piano", "strings"} <= set(everything)


# --- harmony ----------------------------------------------------------------------------------------------------------


def test_roman_numerals_give_the_chords_of_music_theory() -> None:
    assert chord("V7", 0, "major").pitch_classes == (7, 11, 2, 5)
    assert chord("bVII", 2, "major").pitch_classes == (0, 4, 7)
    assert chord("VI", 9, "minor").pitch_classes == (5, 9, 0)
    assert chord("iih7", 0, "minor").pitch_classes == (2, 5, 8, 0)
    with pytest.raises(InvalidRequest, match="numeral"):
        chord("VIII", 0, "major")


def test_voices_move_little_between_chords() -> None:
    first = voicing(chord("I", 0, "major"), None, 57, 3)
    second = voicing(chord("vi", 0, "major"), first, 57, 3)
    assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) <= 4


# --- MIDI and audio ---------------------------------------------------------------------------------------------------


def test_midi_holds_every_note_once(pieces: list[Piece], tmp_path: Path) -> None:
    piece = next(piece for piece in pieces if piece.labels["drums"])
    to_midi(piece).save(tmp_path / "piece.mid")
    read = mido.MidiFile(tmp_path / "piece.mid")
    notes = [message for track in read.tracks for message in track if message.type == "note_on"]
    assert len(notes) == sum(len(part.notes) for part in piece.parts)
    (tempo,) = (message.tempo for message in read.tracks[0] if message.type == "set_tempo")
    assert mido.tempo2bpm(tempo) == pytest.approx(piece.bpm, rel=1e-4)


@pytest.mark.needs_program("fluidsynth")
def test_rendering_does_not_depend_on_earlier_clips(pieces: list[Piece], synthesizer: Synthesizer) -> None:
    alone = render(pieces[0], synthesizer, 4.0)
    for piece in pieces[1:6]:
        render(piece, synthesizer, 3.3)
    np.testing.assert_array_equal(render(pieces[0], synthesizer, 4.0), alone)


@pytest.mark.needs_program("fluidsynth")
def test_clips_sound_from_the_start_and_do_not_clip(pieces: list[Piece], synthesizer: Synthesizer) -> None:
    for piece in pieces[:12]:
        samples = render(piece, synthesizer, 5.0)
        assert samples.dtype == np.int16
        assert samples.shape == (5 * SAMPLE_RATE,)
        waveform = samples / 32768
        assert np.abs(waveform).max() == pytest.approx(piece.peak, abs=0.01)
        assert np.abs(waveform[: int(0.3 * SAMPLE_RATE)]).max() > 0.02
        seconds = np.sqrt(np.mean(waveform.reshape(5, -1) ** 2, axis=1))
        assert seconds.min() > 0.005, piece.captions[0]


# --- the builder ------------------------------------------------------------------------------------------------------


@pytest.mark.needs_program("fluidsynth")
def test_a_rebuild_gives_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    lines: list[str] = []
    clips = {"train": 9, "test": 1}
    (tmp_path / "two" / "train").mkdir(parents=True)
    (tmp_path / "two" / "train" / "000001.wav").write_bytes(b"torn")  # as a full disk could leave it
    for name, workers in (("one", 1), ("two", 2)):
        build_music(
            tmp_path / name, clips, soundfont=None, workers=workers, seed=SEED, seconds=2.0, report=lines.append
        )
    first, second = read_manifest(tmp_path / "one"), read_manifest(tmp_path / "two")
    assert first == second
    assert [clip.file for clip in read_manifest(tmp_path / "two", "test")] == ["test/000000.wav"]
    for clip in second:
        assert hashlib.sha256((tmp_path / "two" / clip.file).read_bytes()).hexdigest() == clip.sha256
    info = soundfile.info(tmp_path / "one" / first[0].file)
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (SAMPLE_RATE, 1, "PCM_16", 2 * SAMPLE_RATE)
    assert "10 clips" in lines[-1]
    before = (tmp_path / "one" / first[0].file).stat().st_mtime_ns
    build_music(tmp_path / "one", clips, soundfont=None, workers=1, seed=SEED, seconds=2.0, report=lines.append)
    assert (tmp_path / "one" / first[0].file).stat().st_mtime_ns == before
    with pytest.raises(InvalidRequest, match="other settings"):
        build_music(tmp_path / "two", clips, soundfont=None, workers=1, seed=SEED + 1, seconds=2.0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"clips": {"training": 1}}, "clips"),
        ({"clips": {"train": 0}}, "clips"),
        ({"clips": {"train": -1, "test": 2}}, "clips"),
        ({"workers": 0}, "workers"),
        ({"seed": -1}, "seed"),
        ({"seconds": 31.0}, "seconds"),
        ({"soundfont": Path("no-such-font.sf2")}, "soundfont"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, change: dict[str, object], field: str) -> None:
    arguments = {"clips": {"train": 1}, "soundfont": None, "workers": 1, "seed": 0, "seconds": 1.0} | change
    with pytest.raises(InvalidRequest, match=f"^{field}="):
        build_music(tmp_path / "music", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "music").exists()


@pytest.mark.needs_program("fluidsynth")
def test_a_file_that_is_no_soundfont_is_refused(tmp_path: Path) -> None:
    (tmp_path / "font.sf2").write_bytes(b"RIFFnot a soundfont")
    with pytest.raises(InvalidRequest, match="soundfont"):
        Synthesizer(tmp_path / "font.sf2")


def test_bad_piece_numbers_are_named() -> None:
    with pytest.raises(InvalidRequest, match="split"):
        compose(0, "training", 0)
    with pytest.raises(InvalidRequest, match="index"):
        compose(0, "train", -1)


# --- the manifest -----------------------------------------------------------------------------------------------------


def clip(file: str = "train/000000.wav", **changes: object) -> Clip:
    fields = {"split": "train", "seed": 0, "seconds": 30.0, "sample_rate": 32000, "captions": ("solo piano", "piano")}
    return Clip(file=file, labels={"style": "rock", "mood": None}, sha256="0" * 64, **(fields | changes))  # type: ignore[arg-type]


def test_a_manifest_reads_back_as_written_and_sorted(tmp_path: Path) -> None:
    clips = [clip("train/000001.wav", captions=("in F# minor",)), clip("test/000000.wav", split="test"), clip()]
    write_manifest(tmp_path, clips)
    assert read_manifest(tmp_path) == sorted(clips, key=lambda one: one.file)
    assert read_manifest(tmp_path, "test") == [clips[1]]
    assert read_manifest(tmp_path, "validation") == []
    assert json.loads((tmp_path / "manifest.jsonl").read_text().splitlines()[0])["split"] == "test"


def test_an_invalid_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"has no manifest\.jsonl"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"file": "train/000000.wav"}\n')
    with pytest.raises(InvalidRequest, match=r"manifest\.jsonl:1"):
        read_manifest(tmp_path)
    with pytest.raises(InvalidRequest, match="split"):
        read_manifest(tmp_path, "dev")


@pytest.mark.parametrize("change", [{"split": "dev"}, {"captions": ()}, {"captions": ("",)}, {"file": "../a.wav"}])
def test_an_impossible_clip_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(change))):
        clip(**change)  # type: ignore[arg-type]
