"""Measures whether the music model follows its prompts (tempo, drums, instruments, key), and its output level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.measures.results import Measure
from training.measures.signal import (
    Mono,
    chroma,
    clipped_share,
    key_classes,
    key_share,
    onset_rate,
    percussive_ratio,
    silent_share,
    timbre,
)
from training.measures.statistics import (
    LogisticRegression,
    accuracy,
    confusion,
    mann_whitney,
    permutation_p,
)

SECTION = "music model"
GROUPS = ("solo piano", "strings", "rock")
SIGNIFICANT = 0.01
MORE_THAN_CHANCE = 0.05
DRUMS_AUC = 0.9
INSTRUMENT_ACCURACY = 0.8
SILENT_SHARE = 0.05
CLIPPED_SHARE = 0.001
PERMUTATION_SEED = 1
TRANSPOSED = tuple(f"{note} major" for note in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"))
"""One key for each set of seven classes: a natural minor key has the classes of the major three semitones above it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The facts that a caption asks for; None where it asks for nothing, or where no measure exists.

    Attributes:
        text: the caption.
        tempo: "slow" or "fast".
        drums: whether the clip has drums.
        key: a key such as "C major" or "F# minor".
        group: one of GROUPS.
    """

    text: str
    tempo: str | None = None
    drums: bool | None = None
    key: str | None = None
    group: str | None = None


PROMPTS = (
    Asked("slow calm solo piano in C major", "slow", False, "C major", "solo piano"),
    Asked("fast happy solo piano in G major", "fast", False, "G major", "solo piano"),
    Asked("slow sad solo piano in D minor", "slow", False, "D minor", "solo piano"),
    Asked("fast energetic solo piano in A major", "fast", False, "A major", "solo piano"),
    Asked("slow calm strings in E major", "slow", False, "E major", "strings"),
    Asked("fast happy strings in D major", "fast", False, "D major", "strings"),
    Asked("slow sad strings in E minor", "slow", False, "E minor", "strings"),
    Asked("fast energetic strings in B minor", "fast", False, "B minor", "strings"),
    Asked("slow sad rock with distorted guitar and drums in A minor", "slow", True, "A minor", "rock"),
    Asked("fast energetic rock with distorted guitar and drums in C minor", "fast", True, "C minor", "rock"),
    Asked("slow dark rock with distorted guitar, bass and drums in G minor", "slow", True, "G minor", "rock"),
    Asked("fast happy rock with distorted guitar, bass and drums in F major", "fast", True, "F major", "rock"),
    Asked("slow calm jazz with saxophone and drums in Bb major", "slow", True, "Bb major"),
    Asked("fast happy disco with drums in Eb major", "fast", True, "Eb major"),
    Asked("slow calm folk music without drums in F# minor", "slow", False, "F# minor"),
    Asked("fast happy folk music without drums in C major", "fast", False, "C major"),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """The facts that the measures found in a clip.

    Attributes:
        onset_rate: onsets per second.
        percussive: share of the energy, 0 … 1.
        chroma: float32 [12].
        silent, clipped: share of silent frames, share of clipped samples.
        timbre: float32 [features], for the classifier.
    """

    onset_rate: float
    percussive: float
    chroma: NDArray[np.float32]
    silent: float
    clipped: float
    timbre: NDArray[np.float32]


def listen(waveform: Mono, sample_rate: int) -> Heard:
    """Measures one clip: float32 [samples]."""
    percussive = percussive_ratio(waveform, sample_rate)
    return Heard(
        onset_rate(waveform, sample_rate),
        percussive,
        chroma(waveform, sample_rate),
        silent_share(waveform, sample_rate),
        clipped_share(waveform),
        timbre(waveform, sample_rate, percussive),
    )


Clips = Sequence[tuple[Asked, Heard]]


def music_measures(generated: Clips, train: Clips, held_out: Clips) -> tuple[list[Measure], dict[str, Any]]:
    """Computes all figures of the music model.

    Args:
        generated: the model's clips with the facts that their prompts ask for.
        train: source clips for the instrument classifier, from the split that the model was trained on.
        held_out: source clips of the test split, which show how well the measures work on the composer's own music.

    Returns:
        The measures, and the values behind them.
    """
    instruments, confusions = _instruments(generated, train, held_out)
    measures = [
        *_tempo(generated, held_out),
        *_drums(generated, held_out),
        *instruments,
        *_keys(generated, held_out),
        *_level(generated, held_out),
    ]
    details = {
        "prompts": [
            {
                "text": text,
                "tempo": asked.tempo,
                "drums": asked.drums,
                "onset_rate": _mean(heard.onset_rate for heard in clips),
                "percussive": _mean(heard.percussive for heard in clips),
                "in_key": None if asked.key is None else _mean(key_share(heard.chroma, asked.key) for heard in clips),
                "clips": len(clips),
            }
            for text, asked, clips in _by_prompt(generated)
        ],
        **confusions,
    }
    return measures, details


def _tempo(generated: Clips, held_out: Clips) -> list[Measure]:
    test = mann_whitney(_rates(generated, "fast"), _rates(generated, "slow"))
    source = mann_whitney(_rates(held_out, "fast"), _rates(held_out, "slow"))
    return [
        Measure(
            SECTION, "tempo: p that fast prompts have no higher onset rate", test.p, SIGNIFICANT, "at most",
            note="Mann–Whitney, one-sided",
        ),
        Measure(SECTION, "onset rate asked fast", _mean(_rates(generated, "fast")), unit="1/s"),
        Measure(SECTION, "onset rate asked slow", _mean(_rates(generated, "slow")), unit="1/s"),
        Measure(SECTION, "tempo: AUC of the onset rate", test.auc),
        Measure(SECTION, "tempo: the same AUC on source", source.auc),
    ]  # fmt: skip


def _drums(generated: Clips, held_out: Clips) -> list[Measure]:
    auc, source = (
        mann_whitney(
            [heard.percussive for asked, heard in clips if asked.drums is True],
            [heard.percussive for asked, heard in clips if asked.drums is False],
        ).auc
        for clips in (generated, held_out)
    )
    return [
        Measure(SECTION, "drums: AUC of the percussive share", auc, DRUMS_AUC, note="asked with against without drums"),
        Measure(SECTION, "drums: the same AUC on source", source),
    ]


def _instruments(generated: Clips, train: Clips, held_out: Clips) -> tuple[list[Measure], dict[str, Any]]:
    features, labels = _labelled(train)
    classifier = LogisticRegression(features, labels)
    results = {}
    for name, clips in (("generated", generated), ("source", held_out)):
        features, labels = _labelled(clips)
        results[name] = (labels, classifier.predict(features))
    return [
        Measure(
            SECTION, "instruments: accuracy on generated", accuracy(*results["generated"]), INSTRUMENT_ACCURACY,
            note=f"{', '.join(GROUPS)}; a classifier that saw only source audio; chance 0.33",
        ),
        Measure(SECTION, "instruments: accuracy on held-out source", accuracy(*results["source"])),
    ], {f"instruments_{name}": confusion(*result) for name, result in results.items()}  # fmt: skip


def _keys(generated: Clips, held_out: Clips) -> list[Measure]:
    asked, scores = _key_scores(generated)
    # The clips of a prompt share its other effects too, so the test shuffles prompts instead of clips.
    prompts = [asked.text for asked, _ in generated if asked.key is not None]
    first = [prompts.index(text) for text in dict.fromkeys(prompts)]
    of_prompts = np.stack([scores[[text == prompts[index] for text in prompts]].mean(axis=0) for index in first])
    p = permutation_p(of_prompts, [asked[index] for index in first], PERMUTATION_SEED)
    rows = np.arange(len(asked))
    source_asked, source_scores = _key_scores(held_out)
    return [
        Measure(
            SECTION, "key: p that clips fit their key no better than others' keys", p, MORE_THAN_CHANCE, "at most",
            note="permutation of prompts, one-sided",
        ),
        Measure(
            SECTION, "key: energy in the asked key", float(scores[rows, asked].mean()),
            float(scores[:, sorted(set(asked))].mean()), note="target: chance, the same clips in all asked keys",
        ),
        Measure(SECTION, "key: energy in all 12 transpositions", float(scores.mean())),
        Measure(
            SECTION, "key: the same on source", float(source_scores[np.arange(len(source_asked)), source_asked].mean())
        ),
    ]  # fmt: skip


def _level(generated: Clips, held_out: Clips) -> list[Measure]:
    silent, of_source = ([heard.silent for _, heard in clips] for clips in (generated, held_out))
    return [
        Measure(
            SECTION, "silent frames", _mean(silent), SILENT_SHARE, "at most",
            note="50 ms below -50 dBFS, after the first 0.3 s",
        ),
        Measure(SECTION, "silent frames in the worst clip", max(silent)),
        Measure(SECTION, "silent frames: the same on source", _mean(of_source)),
        Measure(SECTION, "silent frames in the worst clip of source", max(of_source)),
        Measure(
            SECTION, "clipped samples", _mean(heard.clipped for _, heard in generated), CLIPPED_SHARE, "at most",
            note="magnitude 0.999 or more",
        ),
    ]  # fmt: skip


def _key_scores(clips: Clips) -> tuple[list[int], NDArray[np.float64]]:
    """Returns, for clips with a key, the key's index in TRANSPOSED and the share of energy in each key there."""
    keyed = [(asked.key, heard) for asked, heard in clips if asked.key is not None]
    scores = np.array([[key_share(heard.chroma, key) for key in TRANSPOSED] for _, heard in keyed])
    return [_relative_major(key) for key, _ in keyed], scores


def _relative_major(key: str) -> int:
    tonic = key_classes(key)[0]
    return (tonic + 3) % 12 if key.endswith("minor") else tonic


def _labelled(clips: Clips) -> tuple[NDArray[np.float32], list[str]]:
    chosen = [(asked.group, heard.timbre) for asked, heard in clips if asked.group in GROUPS]
    return np.stack([features for _, features in chosen]), [str(group) for group, _ in chosen]


def _rates(clips: Clips, tempo: str) -> list[float]:
    return [heard.onset_rate for asked, heard in clips if asked.tempo == tempo]


def _by_prompt(clips: Clips) -> list[tuple[str, Asked, list[Heard]]]:
    return [
        (asked.text, asked, [heard for other, heard in clips if other == asked])
        for asked in dict.fromkeys(asked for asked, _ in clips)
    ]


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
