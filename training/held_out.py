"""Scores held-out clips as `analyze` scores a user's, and measures how well the scores tell source from fakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from audiocraft_triton.audio.files import Waveform
from audiocraft_triton.audio.waveforms import cut_windows
from audiocraft_triton.checkpoints.upstream import CompressionModel
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import DiscriminatorSet
from audiocraft_triton.scoring.realness import Calibration, judge
from training.audio_crops import read_crop
from training.calibration import ClipLogits, expected_calibration_error, roc_auc
from training.fakes import (
    CORRUPTIONS,
    SILENCE,
    round_trip,
    to_16_bits,
)

SOURCE, CODED, GENERATED = "source", "codec output", "generated"
SHUFFLE_SEED = 4

Judged = Mapping[str, Sequence[ClipLogits]]
"""Logits of the clips by kind: SOURCE, CODED, GENERATED if there are any, and the corruptions."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well realness tells source from one kind of clip.

    Attributes:
        auc: the chance that a source clip scores higher.
        ece: expected calibration error, with equal weight for source and this kind.
        accuracy: share of correct verdicts at threshold 0.5, with the same weights.
        realness: mean realness of the clips of this kind.
        clips: number of clips of this kind.
    """

    auc: float
    ece: float
    accuracy: float
    realness: float
    clips: int


class HeldOut:
    """Makes and scores held-out clips.

    Args:
        discriminators: the modules, in eval mode on the device.
        codec: makes the codec output.
        sample_rate: the discriminators', Hz.
        window: the discriminators' window in samples.
        seconds: maximum length of a clip.
        limit: maximum number of clips of a kind.
    """

    def __init__(
        self, discriminators: DiscriminatorSet, codec: CompressionModel, sample_rate: int, window: int,
        seconds: float, limit: int, device: torch.device,
    ) -> None:  # fmt: skip
        self._discriminators = discriminators
        self._codec = codec
        self._sample_rate = sample_rate
        self._window = window
        self._seconds = seconds
        self._limit = limit
        self._device = device

    @torch.no_grad()
    def judge(self, source: Sequence[Path], generated: Sequence[Path]) -> Judged:
        """Scores source clips, their codec output, their corruptions, and generated clips."""
        kinds: dict[str, list[ClipLogits]] = {SOURCE: [], CODED: []}
        for index, clip in enumerate(self._clips(source)):
            given = torch.from_numpy(clip)[None].to(self._device)
            corruption = list(CORRUPTIONS)[index % len(CORRUPTIONS)]
            kinds[SOURCE].append(self._logits(given))
            kinds[CODED].append(self._logits(round_trip(self._codec, given, self._sample_rate)))
            kinds.setdefault(corruption, []).append(self._logits(CORRUPTIONS[corruption](given)))
        if generated:
            kinds[GENERATED] = [
                self._logits(torch.from_numpy(clip)[None].to(self._device)) for clip in self._clips(generated)
            ]
        return {name: clips for name, clips in kinds.items() if clips}

    def _clips(self, files: Sequence[Path]) -> Iterator[Waveform]:
        """Yields non-overlapping pieces of the files, silent ones left out, in random order: float32 [1, samples]."""
        pieces = [(path, start) for path in files for start in _starts(path, self._seconds)]
        order = np.random.default_rng(SHUFFLE_SEED).permutation(len(pieces))
        for path, start in [pieces[index] for index in order[: self._limit]]:
            seconds = min(self._seconds, soundfile.info(path).duration)
            clip = read_crop(path, self._sample_rate, max(1, int(seconds * self._sample_rate)), start)
            if np.sqrt(np.square(clip).mean()) > SILENCE:
                yield clip[None]

    def _logits(self, clip: torch.Tensor) -> ClipLogits:
        """Returns the logits of a clip, float32 [1, 1, samples], by discriminator: float32 [windows, parts]."""
        cut = cut_windows(to_16_bits(clip)[0].cpu().numpy(), self._window)
        windows = torch.from_numpy(cut).to(self._device)
        return {name: part_means(self._discriminators[name], windows).cpu().numpy() for name in DISCRIMINATORS}


def part_means(discriminator: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
    """Computes the mean logit of each part of a discriminator, float32 [B, parts], as the exported model returns it.

    Args:
        discriminator: MPD, MSD or MS-STFT.
        windows: float32 [B, 1, samples].
    """
    logits, _ = discriminator(windows)
    return torch.stack([logit.float().flatten(1).mean(dim=1) for logit in logits], dim=1)


def calibration_clips(judged: Judged) -> tuple[list[ClipLogits], list[int], list[float]]:
    """Returns all source clips and fakes with labels and weights.

    Each source clip counts as one. The fakes together weigh as much as the source clips; codec output and generated
    clips have equal shares of that weight, whatever their numbers. Corruptions are left out: nobody asks whether white
    noise was generated, and clips that easy would distort the meaning of a low score.
    """
    source = judged[SOURCE]
    makers = [judged[name] for name in (CODED, GENERATED) if name in judged]
    fakes = [clip for maker in makers for clip in maker]
    weights = [len(source) / len(makers) / len(maker) for maker in makers for _ in maker]
    return [*source, *fakes], [1] * len(source) + [0] * len(fakes), [1.0] * len(source) + weights


def qualities(judged: Judged, calibrations: Mapping[str, Calibration]) -> dict[str, Quality]:
    """Measures how well realness tells source from each kind of clip; "overall": codec output and generated clips."""
    scores = {name: [judge(clip, calibrations).realness for clip in clips] for name, clips in judged.items()}
    source = scores.pop(SOURCE)
    _, labels, weights = calibration_clips(judged)
    together = [score for name in (CODED, GENERATED) for score in scores.get(name, ())]
    found = {"overall": _quality([*source, *together], labels, weights)}
    for name, fakes in scores.items():
        even = [1.0] * len(source) + [len(source) / len(fakes)] * len(fakes)
        found[name] = _quality([*source, *fakes], [1] * len(source) + [0] * len(fakes), even)
    return found


def as_json(found: Mapping[str, Quality]) -> dict[str, dict[str, float]]:
    """Returns the figures, rounded for readers."""
    return {name: {key: round(value, 4) for key, value in asdict(one).items()} for name, one in found.items()}


def _quality(realness: Sequence[float], labels: Sequence[int], weights: Sequence[float]) -> Quality:
    scores, truth, weight = np.array(realness), np.array(labels), np.array(weights)
    fake = truth == 0
    return Quality(
        auc=roc_auc(scores, truth, weight),
        ece=expected_calibration_error(scores, truth, weight),
        accuracy=float(np.average((scores >= 0.5) == truth, weights=weight)),
        realness=float(np.average(scores[fake], weights=weight[fake])),
        clips=int(fake.sum()),
    )


def _starts(path: Path, seconds: float) -> list[float]:
    """Returns the start of each clip of a file, 0 … 1 among all possible starts; the clips don't overlap."""
    count = max(1, int(soundfile.info(path).duration / seconds))
    return [index / max(count - 1, 1) for index in range(count)]
