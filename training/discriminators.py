"""Trains the discriminators of `analyze`: MPD, MSD and MS-STFT as classifiers of source audio against model output.

Unlike in a GAN, their opponent is a codec that does not change, so their logits settle and can be calibrated. Every
sub-discriminator learns on its own, from binary cross-entropy on its mean logit, which is the number that is served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import flashy
import torch
from omegaconf import OmegaConf

from audiocraft_triton.checkpoints.layout import DISCRIMINATORS_FILE, Checkpoint
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.upstream import CompressionModel
from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.discriminators import DiscriminatorSet
from audiocraft_triton.scoring.realness import Calibration
from training.architecture import save
from training.audio_crops import CropBatches, crop_loader
from training.calibration import fit_calibration
from training.fakes import alike, corrupt, round_trip
from training.held_out import (
    SOURCE,
    HeldOut,
    as_json,
    calibration_clips,
    part_means,
    qualities,
)
from training.initialization import make_responsive
from training.runtime import (
    Report,
    Stateful,
    TrainingRun,
    Worker,
    join_workers,
    seed_everything,
)
from training.splits import Splits, split_files
from training.upstream import CosineLRScheduler

REPORT_FILE = "discriminators_report.json"
MARGIN = 0.5  # seconds by which a crop exceeds its window; keeps most windows away from the codec's edges


@dataclass(frozen=True, slots=True)
class DiscriminatorRecipe:
    """Sizes and hyperparameters.

    Attributes:
        mpd, msd, msstftd: constructor arguments. At these sizes two CPU cores score ten seconds in less than one.
        sample_rate: Hz.
        seconds: length of a window.
        batch: pairs of a real and a fake window per step, over all processes.
        steps: total number of steps.
        corrupted: share of fakes that are corrupted source audio.
        generated: share of fakes that are generated audio, if there is any; the rest is codec output.
        learning_rate: for AdamW; rises over `warm_up` steps, then falls to zero as a cosine.
        clip_seconds: length of the clips for calibration and test.
        clips: maximum number of clips of a kind and split for calibration and test.
    """

    mpd: Mapping[str, Any] = field(
        default_factory=lambda: {"periods": [2, 3, 5, 7, 11], "filters": 4, "max_filters": 64, "kernel_sizes": [5, 3]}
    )
    msd: Mapping[str, Any] = field(
        default_factory=lambda: {"scale_norms": ["weight_norm"] * 3, "filters": 16, "max_filters": 64}
    )
    msstftd: Mapping[str, Any] = field(
        default_factory=lambda: {
            "filters": 12, "n_ffts": [2048, 1024, 512], "hop_lengths": [512, 256, 128],
            "win_lengths": [2048, 1024, 512],
        }
    )  # fmt: skip
    sample_rate: int = 32_000
    seconds: float = 2.0
    batch: int = 48
    steps: int = 1000
    corrupted: float = 0.1
    generated: float = 0.45
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 0.01
    warm_up: int = 50
    clip_seconds: float = 10.0
    clips: int = 200
    seed: int = 3

    @property
    def window(self) -> int:
        """The length of a window in samples."""
        return round(self.seconds * self.sample_rate)


SCORING = DiscriminatorRecipe()


def train_discriminators(
    data: Path,
    codec: Checkpoint,
    run: Path,
    out: Path,
    recipe: DiscriminatorRecipe = SCORING,
    *,
    generated: Path | None = None,
    minutes: float | None = None,
    report: Report = print,
    on_step: Callable[[int, int], None] = lambda _done, _steps: None,
) -> bool:
    """Trains and calibrates discriminators for a codec, resuming where the last call with the same `run` stopped.

    Args:
        data: folder with source audio of any format and sample rate. A fifth of it is held out from training; see
            `training.splits`.
        codec: checkpoint whose codec makes the fakes.
        run: folder for state and logs.
        out: checkpoint folder; the calibrated `discriminators.bin` and `discriminators_report.json` are written there
            whenever training stops, finished or not. Unfinished discriminators separate less, but are calibrated.
        recipe: sizes and hyperparameters.
        generated: folder with audio that models of this codec generated; None: codec output is the only model output.
        minutes: stop after this many minutes; None: only when done.
        report: receives lines of progress.
        on_step: receives the number of finished steps and the total.

    Returns:
        Whether all steps are done.

    Raises:
        InvalidRequest: too little audio, unreadable audio, or a run that was started with other settings.
        CheckpointError: the checkpoint has no codec.
    """
    worker = join_workers()
    files = split_files(data)
    made = None if generated is None else split_files(generated, "generated")
    maker = load_codec(codec, worker.device).requires_grad_(False)
    seed_everything(recipe.seed)
    trainer = DiscriminatorTrainer(recipe, maker, worker.device)
    settings = {
        **asdict(recipe),
        "codec": codec.name,
        "files": len(files),
        "generated_files": 0 if made is None else len(made),
        "processes": worker.count,
    }
    training = TrainingRun(
        run, worker, trainer.parts(), settings, steps=recipe.steps, minutes=minutes, seed=recipe.seed, report=report
    )
    real = _crops(files, recipe, worker, training.step, stream=0)
    generations = None if made is None else _crops(made, recipe, worker, training.step, stream=1)
    on_step(training.step, recipe.steps)
    for step in training.each_step():
        clips = next(real).to(worker.device, non_blocking=True)
        others = None if generations is None else next(generations).to(worker.device, non_blocking=True)
        training.log(trainer.step(clips, others))
        on_step(step + 1, recipe.steps)
    if worker.leads:
        report(f"calibrating on {len(files.validation)} files, testing on {len(files.test)} others")
        _calibrate_and_save(trainer, files, made, out, training.step, worker.device)
    return training.finished


class DiscriminatorTrainer:
    """The discriminators with their optimizer and the codec that makes the fakes.

    Attributes:
        discriminators: the modules, in training mode.
        codec: makes the fakes, in eval mode.
        recipe: sizes and hyperparameters.
    """

    def __init__(self, recipe: DiscriminatorRecipe, codec: CompressionModel, device: torch.device) -> None:
        self.recipe = recipe
        self.codec = codec
        self.discriminators = DiscriminatorSet.build(OmegaConf.create(architecture(recipe)))
        make_responsive(self.discriminators)
        self.discriminators.to(device).train()
        self._optimizer = torch.optim.AdamW(
            self.discriminators.parameters(), recipe.learning_rate, betas=recipe.betas,
            weight_decay=recipe.weight_decay, fused=device.type == "cuda",
        )  # fmt: skip
        warm_up = min(recipe.warm_up, recipe.steps // 10)  # otherwise a short trial would only warm up
        self._schedule = CosineLRScheduler(self._optimizer, recipe.steps, warm_up)

    def parts(self) -> dict[str, Stateful]:
        """Returns everything that changes during training, by name."""
        return {
            "discriminators": self.discriminators,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
        }

    def step(self, crops: torch.Tensor, generated: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Makes one step.

        Args:
            crops: float32 [batch, 1, samples] of source audio on the device, longer than a window by the margin.
            generated: the same of generated audio, if there is any.

        Returns:
            The loss, and the accuracy of each discriminator over its parts.
        """
        real, fake, audible = alike(*self._windows(crops, self._fakes(crops, generated)), self.recipe.sample_rate)
        truth = torch.cat([torch.ones_like(audible), torch.zeros_like(audible)])[:, None]
        weight = torch.cat([audible, audible])[:, None]
        weight = weight / weight.sum().clamp(min=1.0)
        windows = torch.cat([real, fake])
        losses, accuracies = [], {}
        for name in DISCRIMINATORS:
            with torch.autocast("cuda", torch.bfloat16, enabled=windows.is_cuda):
                logits = part_means(self.discriminators[name], windows)
            errors = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, truth.expand_as(logits), reduction="none"
            )
            losses.append((weight * errors).sum() / logits.shape[1])
            accuracies[name] = (weight * ((logits.detach() > 0) == truth.bool())).sum() / logits.shape[1]
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        flashy.distrib.sync_model(self.discriminators)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()
        return {"loss": loss.detach(), **accuracies}

    def _fakes(self, crops: torch.Tensor, generated: torch.Tensor | None) -> torch.Tensor:
        """Returns a fake for every crop: first corrupted ones, then generated ones, then codec output.

        Each step rounds the recipe's shares to whole clips at random, so that the shares hold on average: even batches
        of one clip get fakes of every kind over the steps.
        """
        rounding = float(torch.rand(()))
        corrupted = int(self.recipe.corrupted * len(crops) + rounding)
        others = self.recipe.corrupted + (0.0 if generated is None else self.recipe.generated)
        first_coded = int(others * len(crops) + rounding)
        parts = []
        if corrupted > 0:
            parts.append(corrupt(crops[:corrupted]))
        if generated is not None:
            parts.append(generated[corrupted:first_coded])
        if first_coded < len(crops):
            parts.append(round_trip(self.codec, crops[first_coded:], self.recipe.sample_rate))
        return torch.cat(parts)

    def _windows(self, crops: torch.Tensor, fakes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cuts the same random window out of both: mostly away from the codec's edges, and off its frame grid."""
        start = int(torch.randint(crops.shape[-1] - self.recipe.window + 1, ()))
        end = start + self.recipe.window
        return crops[..., start:end], fakes[..., start:end]


def architecture(recipe: DiscriminatorRecipe) -> dict[str, Any]:
    """Returns the constructor arguments of each discriminator."""
    return {name: dict(getattr(recipe, name)) for name in DISCRIMINATORS}


def _crops(
    files: Splits, recipe: DiscriminatorRecipe, worker: Worker, step: int, stream: int
) -> Iterator[torch.Tensor]:
    samples = recipe.window + round(MARGIN * recipe.sample_rate)
    batches = CropBatches(
        files.train, recipe.sample_rate, samples, worker.share(recipe.batch),
        seed=2 * recipe.seed + stream, rank=worker.rank, step=step,
    )  # fmt: skip
    return crop_loader(batches, worker.helpers() // 2)  # source audio and generated audio each have a loader


def _calibrate_and_save(
    trainer: DiscriminatorTrainer, files: Splits, made: Splits | None, out: Path, steps: int, device: torch.device
) -> None:
    """Fits the calibration on the validation files, measures on the test files, writes weights and report.

    Raises:
        InvalidRequest: all held-out files are silent.
    """
    recipe = trainer.recipe
    held_out = HeldOut(
        trainer.discriminators.eval(), trainer.codec, recipe.sample_rate, recipe.window, recipe.clip_seconds,
        recipe.clips, device,
    )  # fmt: skip
    validation = held_out.judge(files.validation, made.validation if made else ())
    test = held_out.judge(files.test, made.test if made else ())
    for split, judged in (("validation", validation), ("test", test)):
        if not judged.get(SOURCE):
            raise InvalidRequest("data", split, "has only silent files (below -60 dBFS): nothing to calibrate with")
    calibrations = fit_calibration(*calibration_clips(validation))
    _save(trainer, calibrations, out)
    found = {
        "steps": steps,
        "parameters": sum(parameter.numel() for parameter in trainer.discriminators.parameters()),
        "calibration": {name: asdict(one) for name, one in calibrations.items()},
        "validation": as_json(qualities(validation, calibrations)),
        "test": as_json(qualities(test, calibrations)),
    }
    (out / REPORT_FILE).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _save(trainer: DiscriminatorTrainer, calibrations: Mapping[str, Calibration], out: Path) -> None:
    config = {
        "sample_rate": trainer.recipe.sample_rate,
        "window": trainer.recipe.window,
        "calibration": {name: asdict(one) for name, one in calibrations.items()},
        **architecture(trainer.recipe),
    }
    out.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.cpu() for name, tensor in trainer.discriminators.state_dict().items()}
    save(out / DISCRIMINATORS_FILE, state, OmegaConf.create(config))
