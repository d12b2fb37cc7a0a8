"""Each measure on signals with known answers; the report from made-up figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from audiocraft_triton.audio.files import write_audio
from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.contract.errors import InvalidRequest
from training.measures import (
    codec,
    discriminators,
    music,
    pictures,
    report,
    run,
    sounds,
    sources,
    statistics,
)
from training.measures.results import Measure, Measures
from training.measures.signal import (
    Mono,
    chroma,
    clipped_share,
    key_classes,
    key_share,
    onset_rate,
    percussive_ratio,
    silent_share,
)

RATE = 32_000
C_MAJOR_SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def tone(note: float, seconds: float, gain: float = 0.3, decay: float = 0.0) -> Mono:
    time = np.arange(int(seconds * RATE)) / RATE
    frequency = 440 * 2 ** ((note - 69) / 12)
    return np.asarray(gain * np.sin(2 * np.pi * frequency * time) * np.exp(-decay * time), dtype=np.float32)


def clicks(per_second: float, seconds: float = 5.0) -> Mono:
    draw = np.random.default_rng(1)
    wave = np.zeros(int(seconds * RATE), dtype=np.float32)
    for start in np.arange(0.25 / per_second, seconds - 0.01, 1 / per_second):
        first = int(start * RATE)
        wave[first : first + 128] += (0.5 * np.hanning(128) * draw.standard_normal(128)).astype(np.float32)
    return wave


def melody(notes: tuple[int, ...] = C_MAJOR_SCALE, seconds: float = 0.5) -> Mono:
    return np.concatenate([tone(note, seconds, decay=3.0) for note in notes])


@pytest.mark.parametrize("per_second", [2.0, 4.0, 8.0])
def test_onset_rate_counts_clicks(per_second: float) -> None:
    assert onset_rate(clicks(per_second), RATE) == pytest.approx(per_second, rel=0.06)


def test_onset_rate_counts_the_notes_of_a_melody_and_none_in_a_tone() -> None:
    assert onset_rate(melody(), RATE) == pytest.approx(2.0, rel=0.13)
    assert onset_rate(tone(69, 4.0), RATE) <= 0.25


def test_onset_rate_does_not_depend_on_loudness() -> None:
    assert onset_rate(0.1 * clicks(4.0), RATE) == onset_rate(clicks(4.0), RATE)


def test_percussive_share_is_high_for_clicks_low_for_tones_and_between_for_both() -> None:
    beat, held = clicks(4.0), tone(60, 5.0, 0.02) + tone(67, 5.0, 0.02)
    shares = [percussive_ratio(wave, RATE) for wave in (held, held + beat, beat)]
    assert shares[0] < 0.05
    assert shares[2] > 0.9
    assert shares == sorted(shares)


def test_chroma_of_a_c_major_scale_lies_in_c_major() -> None:
    classes = chroma(melody(), RATE)
    assert classes.sum() == pytest.approx(1.0, abs=1e-4)
    assert key_share(classes, "C major") > 0.99
    assert key_share(classes, "A minor") > 0.99
    assert key_share(classes, "F# major") < 0.4
    assert int(classes.argmax()) == 0  # C sounds twice


def test_keys_are_read_with_their_accidentals_and_unknown_ones_refused() -> None:
    assert set(key_classes("Bb major")) == {10, 0, 2, 3, 5, 7, 9}
    assert set(key_classes("C# minor")) == set(key_classes("E major"))
    with pytest.raises(InvalidRequest, match="key='H major'"):
        key_classes("H major")


def test_silence_and_clipping_are_shares_of_the_clip() -> None:
    half = np.concatenate([tone(69, 2.3), np.zeros(2 * RATE, dtype=np.float32)])
    assert silent_share(half, RATE) == pytest.approx(0.5, abs=0.01)
    assert silent_share(tone(69, 2.0), RATE) == 0
    loud = tone(69, 1.0)
    loud[:320] = 1.0
    assert clipped_share(loud) == pytest.approx(0.01, abs=1e-4)


def test_mann_whitney_agrees_with_a_known_table() -> None:
    # Ages of men and women at diagnosis: U = 17 of 20 pairs, p = 0.111 two-sided.
    test = statistics.mann_whitney([19, 22, 16, 29, 24], [20, 11, 17, 12])
    assert (test.statistic, test.auc) == (17, 0.85)
    assert test.p == pytest.approx(0.111 / 2, abs=0.002)
    # No overlap of two samples of 8: 1 of 12,870 orders.
    assert statistics.mann_whitney(range(8, 16), range(8)).p < 0.001


def test_auc_is_one_for_perfect_zero_for_reversed_and_half_for_equal_values() -> None:
    assert statistics.mann_whitney([3, 4], [1, 2]).auc == 1
    assert statistics.mann_whitney([1, 2], [3, 4]).auc == 0
    assert statistics.mann_whitney([1, 1], [1, 1]).auc == 0.5
    assert statistics.mann_whitney([1, 1], [1, 1]).p == 0.5


def test_permutation_test_tells_a_match_from_no_match() -> None:
    asked = [0, 1, 2, 3] * 3
    matching = np.eye(4)[asked]
    assert statistics.permutation_p(matching, asked, seed=0) < 0.01
    assert statistics.permutation_p(np.ones((12, 4)), asked, seed=0) == 1.0


def test_classifier_predicts_the_labels_it_was_fitted_to() -> None:
    draw = np.random.default_rng(0)
    labels = [name for name in "abc" for _ in range(20)]
    features = np.stack([np.eye(3)["abc".index(name)] + 0.1 * draw.standard_normal(3) for name in labels])
    classifier = statistics.LogisticRegression(features.astype(np.float32), labels)
    assert classifier.predict(np.eye(3, dtype=np.float32)) == ["a", "b", "c"]
    assert statistics.confusion(["a", "b"], ["a", "a"])["b"] == {"a": 1, "b": 0}


def test_six_bit_mu_law_keeps_the_waveform_at_about_25_decibels() -> None:
    clip = melody() + 0.05 * clicks(4.0, 4.0)
    coded = codec.mu_law(clip)
    assert len(np.unique(coded)) <= 64
    assert 18 < codec.si_snr(coded, clip) < 30
    assert codec.si_snr(0.5 * clip, clip) > 60  # scale does not matter
    assert codec.stft_distance(clip, clip) < 1e-3 < codec.stft_distance(coded, clip)


def test_codec_is_compared_with_mu_law_and_untrained_weights(demo_checkpoints: Path, tmp_path: Path) -> None:
    clips = [melody(), clicks(4.0)]
    coded = codec.code(resolve(str(demo_checkpoints / "music")), clips)
    assert [len(clip) for outputs in coded.outputs.values() for clip in outputs] == 3 * [len(clip) for clip in clips]
    results = codec.fidelity(coded)
    assert results["codec"].bits_per_second == results["untrained"].bits_per_second == 50 * 4 * 9
    assert results["µ-law"].bits_per_second == 6 * RATE
    measures = {measure.name: measure for measure in codec.codec_measures("codec", results)}
    assert measures["SI-SNR"].target == results["untrained"].si_snr
    assert measures["STFT distance"].target == results["untrained"].stft
    pictures.draw_spectrograms(tmp_path / "codec.png", coded, 0, "a test")
    assert 5_000 < (tmp_path / "codec.png").stat().st_size <= 200_000


def heard(asked: music.Asked, seed: int, *, obey: bool) -> tuple[music.Asked, music.Heard]:
    """Makes the findings of a clip that follows its prompt, or that are the same for every prompt."""
    draw = np.random.default_rng(seed)
    classes = np.full(12, 1 / 12, dtype=np.float32)
    if obey:
        classes = np.zeros(12, dtype=np.float32)
        classes[list(key_classes(asked.key or "C major"))] = 1 / 7
    timbre = 0.1 * draw.standard_normal(3)
    if obey:
        timbre += np.eye(3)[music.GROUPS.index(asked.group or "rock")]
    return asked, music.Heard(
        float((4 if obey and asked.tempo == "fast" else 2) + 0.1 * draw.standard_normal()),
        float((0.6 if obey and asked.drums else 0.2) + 0.01 * draw.standard_normal()),
        classes, 0.0, 0.0, timbre.astype(np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("obey", [True, False])
def test_music_measures_pass_a_model_that_follows_prompts_and_fail_one_that_does_not(obey: bool) -> None:
    source = [heard(asked, seed, obey=True) for seed in range(4) for asked in music.PROMPTS]
    made = [
        heard(asked, 100 * number + seed, obey=obey) for seed in range(4) for number, asked in enumerate(music.PROMPTS)
    ]
    measures, details = music.music_measures(made, source, source)
    judged = {measure.name.split(":")[0]: measure.passed for measure in measures if measure.passed is not None}
    assert {judged["tempo"], judged["drums"], judged["instruments"]} == {obey}
    keys = [measure for measure in measures if measure.name.startswith("key: p")]
    assert keys[0].passed is obey
    assert judged["silent frames"]
    assert len(details["prompts"]) == len(music.PROMPTS)
    labelled = [asked for asked, _ in source if asked.group]
    assert sum(sum(row.values()) for row in details["instruments_source"].values()) == len(labelled)


def test_every_prompt_contains_what_it_is_scored_on() -> None:
    for asked in music.PROMPTS:
        assert asked.tempo is not None
        assert asked.key is not None
        assert asked.text.startswith(asked.tempo)
        assert asked.text.endswith(f" in {asked.key}")
        assert asked.group is None or asked.group in asked.text
        assert asked.drums is ("and drums" in asked.text or "with drums" in asked.text)


def test_sound_kinds_are_recognized_by_a_classifier_of_source_sounds() -> None:
    rate = 16_000
    draw = np.random.default_rng(3)

    def noise() -> Mono:
        return (0.1 * draw.standard_normal(rate)).astype(np.float32)

    def beep() -> Mono:
        return tone(69 + draw.integers(12), 0.5)

    source = {"rain": [noise() for _ in range(4)], "beep": [beep() for _ in range(4)]}
    made = {"rain": [noise(), noise()], "beep": [beep(), noise()]}
    measures, details = sounds.sound_measures(made, source, source, rate)
    assert measures[0].value == 0.75
    assert details["kinds_generated"]["beep"] == {"beep": 1, "rain": 1}


def test_judge_scores_clips_of_any_rate_and_length(demo_checkpoints: Path) -> None:
    judge = discriminators.Judge(resolve(str(demo_checkpoints / "music")))
    assert not judge.calibrated
    for clip, rate in ((melody(), RATE), (tone(60, 0.2), 16_000)):
        assert 0 < judge.realness(clip, rate) < 1


def test_discriminator_measures_pass_scores_that_separate_and_fail_those_that_do_not(tmp_path: Path) -> None:
    apart = {"source": [0.97] * 10, "codec output": [0.02] * 10, "generated": [0.03] * 20, "white noise": [0.5] * 4}
    measures, details = discriminators.discriminator_measures(apart, calibrated=True)
    assert [measure.passed for measure in measures[:3]] == [True, True, True]
    assert measures[2].value == pytest.approx(0.0275, abs=0.003)
    assert [row["clips"] for row in details["reliability"]] == [10, 10]
    reversed_scores = {"source": [0.1] * 10, "codec output": [0.9] * 10, "generated": [0.9] * 20}
    measures, _ = discriminators.discriminator_measures(reversed_scores, calibrated=True)
    assert [measure.value for measure in measures[:2]] == [0, 0]
    assert [measure.passed for measure in measures[:3]] == [False, False, False]
    pictures.draw_reliability(tmp_path / "d.png", details["reliability"], details["realness"])
    assert (tmp_path / "d.png").stat().st_size < 200_000


@pytest.mark.needs_program("fluidsynth")
def test_source_music_is_rendered_with_the_facts_from_its_labels() -> None:
    chosen = sources.pieces_of_groups("test", 1)
    rendered = sources.render_all(chosen, 2.0)
    assert [source.asked.group for source in rendered] == list(music.GROUPS)
    assert [source.asked.drums for source in rendered] == [False, False, True]
    for source in rendered:
        assert source.waveform.shape == (2 * RATE,)
        assert 0.3 < np.abs(source.waveform).max() < 1
        assert source.asked.key is not None
        assert source.asked.text == source.piece.captions[0]


def test_a_missing_soundfont_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"soundfont=.*install"):
        sources.render_all(sources.pieces("test", 1), 1.0, tmp_path / "none.sf2")


def test_source_sounds_are_the_first_of_each_kind() -> None:
    found = sources.sounds("test", ["rain", "siren"], 2, 1.0)
    assert {kind: [clip.shape for clip in clips] for kind, clips in found.items()} == {
        "rain": [(16_000,)] * 2,
        "siren": [(16_000,)] * 2,
    }
    assert not np.array_equal(*found["rain"])


def test_recordings_keep_their_rate_and_become_mono(tmp_path: Path) -> None:
    stereo = np.stack([tone(69, 1.0), tone(69, 1.0)])
    (tmp_path / "a.wav").write_bytes(write_audio(stereo, 22_050, "wav"))
    ((clip, rate),) = sources.recordings(tmp_path, 0.5)
    assert (clip.shape, rate) == ((11_025,), 22_050)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(InvalidRequest, match="data="):
        sources.recordings(tmp_path, 0.5)


@pytest.mark.needs_program("fluidsynth")
def test_one_call_measures_everything(demo_checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"HELD_OUT_CLIPS": 6, "HELD_OUT_OF_GROUP": 1, "TRAIN_OF_GROUP": 1, "HELD_OUT_OF_KIND": 1,
             "TRAIN_OF_KIND": 1, "CLIP_SECONDS": 2.0, "SOUND_SECONDS": 1.0}  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(run, name, value)
    monkeypatch.setattr(sounds, "PROMPTS", {"rain": "heavy rain", "siren": "a siren"})
    lines: list[str] = []
    measured = run.measure(demo_checkpoints, tmp_path, data=None, seeds=1, report=lines.append)
    assert Measures.read(tmp_path / "measures.json") == measured
    assert measured.sections == [
        "music codec", "sound codec", "music model", "sound model", "discriminators", "speed",
    ]  # fmt: skip
    assert all(np.isfinite(measure.value) for measure in measured.measures)
    assert measured.failed  # these weights were never trained
    assert measured.environment["seeds"] == 1
    pictures_made = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures_made == ["codec.png", "discriminators.png", "music.png"]
    assert all((tmp_path / name).stat().st_size <= 200_000 for name in pictures_made)
    assert any("generated music: 16" in line for line in lines)


@pytest.fixture
def figures() -> Measures:
    return Measures(
        (
            Measure("codec", "SI-SNR", 6.25, -20.0, unit="dB", note="target: untrained"),
            Measure("codec", "bit rate", 2.0, 192.0, "at most", "kbit/s"),
            Measure("music model", "tempo: p", 0.00001, 0.01, "at most"),
            Measure("music model", "drums: AUC", 0.4, 0.9),
            Measure("speed", "10 s of music", 7.5, unit="s"),
        ),
        {"music": {"prompts": []}},
        {"cores": 2},
    )


def test_measures_file_holds_each_value_with_its_target_and_reads_back(figures: Measures, tmp_path: Path) -> None:
    figures.write(tmp_path / "measures.json")
    rows = json.loads((tmp_path / "measures.json").read_text())["measures"]
    assert [(row["target"], row["passed"]) for row in rows[2:]] == [(0.01, True), (0.9, False), (None, None)]
    assert Measures.read(tmp_path / "measures.json") == figures
    assert [measure.name for measure in figures.failed] == ["drums: AUC"]


def test_a_file_that_holds_no_measures_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "measures.json").write_text("{}")
    with pytest.raises(InvalidRequest, match="must be a measures"):
        Measures.read(tmp_path / "measures.json")


def test_nan_reaches_no_target() -> None:
    assert Measure("a", "b", float("nan"), 0.0).passed is False
    assert Measure("a", "b", float("nan"), 0.0, "at most").passed is False


def test_table_shows_every_figure(figures: Measures) -> None:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(report.table(figures))
    text = shown.get()
    assert "6.25 dB" in text
    assert "≥ 0.9" in text
    assert text.count("reached") == 3
    assert text.count("missed") == 1


def test_model_card_holds_figures_facts_and_failures(figures: Measures, tmp_path: Path) -> None:
    facts = {name: f"<{name}>" for name in report.card_fields()}
    report.render_model_card(figures, facts, tmp_path / "MODEL_CARD.md")
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "| SI-SNR | 6.25 dB | ≥ -20 dB | yes | target: untrained |" in card
    assert "| drums: AUC | 0.4 | ≥ 0.9 | **no** |" in card
    assert "3 of 4 targets are reached. Missed: music model: drums: AUC." in card
    assert "<hardware>" in card
    assert "FluidR3Mono" in card
    assert "$" not in card


def test_a_model_card_without_a_fact_names_it(figures: Measures, tmp_path: Path) -> None:
    facts = dict.fromkeys(report.card_fields() - {"hardware"}, "x")
    with pytest.raises(InvalidRequest, match="hardware"):
        report.render_model_card(figures, facts, tmp_path / "MODEL_CARD.md")
    assert not (tmp_path / "MODEL_CARD.md").exists()
