"""Trains an EnCodec as audiocraft's `CompressionSolver` does (arXiv:2210.13438), but in minutes on one GPU.

Training has two phases. First the encoder, the codebooks and the decoder learn from spectral and waveform losses. Then
the adversary joins and only the decoder keeps learning, because a newly started adversary disturbs the encoder so much
that its codebooks collapse. From the second phase on, the codes and their meaning are final.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import flashy
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from audiocraft_triton.checkpoints.layout import CODEC_FILE
from audiocraft_triton.checkpoints.upstream import builders
from training.adversary import AdversarySizes, make_adversary
from training.architecture import DEMO, Kind, codec_config, save
from training.architecture import MUSIC as MUSIC_KIND
from training.architecture import SOUND as SOUND_KIND
from training.audio_crops import CropBatches, audio_files, crop_loader
from training.augmentation import random_loudness
from training.codebooks import perplexities, revive_dead_entries
from training.initialization import make_responsive
from training.runtime import (
    Report,
    Stateful,
    TrainingRun,
    join_workers,
    seed_everything,
)
from training.upstream import SISNR, Balancer, CosineLRScheduler, MultiScaleMelSpectrogramLoss
from training.weight_average import WeightAverage

# The share of the gradient that comes from each loss. Upstream trains for days and gives the adversary 80 %; in a
# training of minutes a clear spectrum matters more than fine texture, and `l1` keeps the phase of low notes.
LOSS_WEIGHTS = {"l1": 0.5, "spectrum": 3.0, "adv": 0.5, "feat": 1.0}
# The gradient per latent value. The balanced losses have a gradient of norm 1 per clip; next to these, upstream's
# commitment loss, a mean over the batch, weighs almost nothing, and the latents grow faster than the codebooks follow.
COMMITMENT = 1e-3
ADVERSARY_RATE = 0.5  # of the codec's learning rate
# Share of the steps in which the adversary learns before it joins: balancing gives its loss full weight at once.
HEAD_START = 0.05
NORM_DECAY = 0.999
REVIVE_EVERY = 20
REVIVE_UNTIL = 0.9  # share of the steps with the encoder; in the remaining ones the codebooks settle


@dataclass(frozen=True, slots=True)
class CodecRecipe:
    """Sizes and hyperparameters.

    Attributes:
        kind: sample rate and strides.
        filters: channels of the outermost layer.
        latent: width of the quantized latents.
        card: number of entries in each codebook.
        residual_layers: blocks between two changes of rate.
        batch: clips per step, over all processes.
        seconds: length of a clip.
        steps: total number of steps.
        adversarial_from: share of the steps after which the adversary joins and the encoder stops learning.
        adversary_every: the adversary trains once in this many of its steps.
        learning_rate: for codec and adversary; rises over `warm_up` steps, then falls to zero as a cosine.
        average_decay: decay of the moving average of the weights, which is what the checkpoint keeps.
    """

    kind: Kind
    filters: int
    latent: int
    card: int
    steps: int
    residual_layers: int = 2
    batch: int = 48
    seconds: float = 1.0
    adversarial_from: float = 0.6
    adversary_every: int = 2
    adversary: AdversarySizes = field(default_factory=AdversarySizes)
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.8, 0.99)
    warm_up: int = 200
    average_decay: float = 0.995
    seed: int = 1


MUSIC = CodecRecipe(MUSIC_KIND, filters=12, latent=64, card=1024, steps=13_000, adversarial_from=0.67)
SOUND = CodecRecipe(SOUND_KIND, filters=8, latent=48, card=512, steps=9_000, adversarial_from=0.75)


def train_codec(
    data: Path,
    run: Path,
    out: Path,
    recipe: CodecRecipe,
    *,
    minutes: float | None = None,
    report: Report = print,
) -> bool:
    """Trains a codec, resuming where the last call with the same `run` stopped.

    Args:
        data: folder with audio files at any depth and of any sample rate.
        run: folder for state and logs.
        out: checkpoint folder; `compression_state_dict.bin` is written there when the encoder has finished learning,
            and whenever training stops after that. From then on the codes are final, so a language model may learn
            them while the decoder keeps learning.
        recipe: sizes and hyperparameters.
        minutes: stop after this many minutes; None: only when done.
        report: receives lines of progress.

    Returns:
        Whether all steps are done.

    Raises:
        InvalidRequest: the folder has no audio, or the run was started with other settings.
    """
    worker = join_workers()
    files = audio_files(data)
    seed_everything(recipe.seed)
    trainer = CodecTrainer(recipe, worker.device)
    settings = {**asdict(recipe), "files": len(files), "processes": worker.count}
    training = TrainingRun(
        run, worker, trainer.parts(), settings, steps=recipe.steps, minutes=minutes, seed=recipe.seed, report=report
    )
    crops = CropBatches(
        files, recipe.kind.sample_rate, trainer.samples, worker.share(recipe.batch),
        seed=recipe.seed, rank=worker.rank, step=training.step,
    )  # fmt: skip
    batches = crop_loader(crops, worker.helpers())
    for step in training.each_step():
        clips = next(batches).to(worker.device, non_blocking=True)
        training.log(trainer.step(step, random_loudness(clips)))
        if step == trainer.adversarial_from and worker.leads:
            _write(trainer, out)
    if (training.finished or training.step > trainer.adversarial_from) and worker.leads:
        _write(trainer, out)
    return training.finished


def _write(trainer: CodecTrainer, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save(out / CODEC_FILE, trainer.average.module_state(), trainer.config)


def trained_codec_config(recipe: CodecRecipe) -> DictConfig:
    """Returns the config of a recipe's codec, as the checkpoint stores it."""
    shape = replace(DEMO, codec_filters=recipe.filters, latent=recipe.latent, card=recipe.card)
    sizes = {
        "seanet": {"n_residual_layers": recipe.residual_layers, "lstm": 1},
        # Upstream's own restart of dead entries has no effect, and it waits for the GPU.
        "rvq": {"threshold_ema_dead_code": 0},
    }
    return OmegaConf.merge(codec_config(recipe.kind, shape), sizes)


class CodecTrainer:
    """A codec with its losses, adversary and optimizers: everything that one step needs except the audio.

    Attributes:
        codec: the EncodecModel in training.
        config: its config.
        samples: length of a clip.
        average: the averaged weights, which the checkpoint keeps.
        adversarial_from: the step at which the adversary joins and the codes become final.
    """

    def __init__(self, recipe: CodecRecipe, device: torch.device) -> None:
        self.config = trained_codec_config(recipe)
        self.codec = builders.get_compression_model(self.config)
        make_responsive(self.codec)
        self.codec.to(device).train()
        self.samples = round(recipe.seconds * recipe.kind.sample_rate)
        self.average = WeightAverage(self.codec, recipe.average_decay)
        self._recipe = recipe
        self.adversarial_from = round(recipe.adversarial_from * recipe.steps)
        self._adversary_from = round((recipe.adversarial_from - HEAD_START) * recipe.steps)
        self._optimizer = torch.optim.Adam(
            self.codec.parameters(), recipe.learning_rate, betas=recipe.betas, fused=device.type == "cuda"
        )
        self._schedule = CosineLRScheduler(self._optimizer, recipe.steps, recipe.warm_up)
        self._adversary = make_adversary(recipe.adversary, device, recipe.betas)
        self._balancer = Balancer(LOSS_WEIGHTS)
        self._norms = GradientNorms()
        self._balancer.averager = self._norms.update
        self._spectrum = spectral_loss(recipe.kind.sample_rate).to(device)
        self._si_snr = SISNR(recipe.kind.sample_rate, segment=recipe.seconds, overlap=0.0)

    def parts(self) -> dict[str, Stateful]:
        """Returns everything that changes during training, by name."""
        return {
            "codec": self.codec,
            "average": self.average,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "adversary": self._adversary,
            "norms": self._norms,
        }

    def step(self, step: int, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Makes one step of the codec and, in every `adversary_every`-th step, of the adversary.

        Args:
            step: number of the step.
            clips: float32 [batch, 1, samples] on the device.

        Returns:
            The unweighted losses; `si_snr` in dB (higher is better); `used_i`: perplexity of codebook i.
        """
        if step == self.adversarial_from:
            self.average.adopt()
        adversarial = step >= self.adversarial_from
        with torch.set_grad_enabled(not adversarial):
            latents = self.codec.encoder(clips)
            quantized = self.codec.quantizer.train(not adversarial)(latents, self.codec.frame_rate)
        rebuilt = self.codec.decoder(quantized.x)[..., : self.samples]
        figures = {"si_snr": -self._si_snr(rebuilt.detach(), clips)}
        if step >= self._adversary_from and step % self._recipe.adversary_every == 0:
            figures["adversary"] = self._train_adversary(rebuilt, clips)
        # The losses see a copy, so that one backward pass adds their gradients to that of the commitment loss.
        heard = rebuilt.detach().requires_grad_()
        figures |= self._balanced_losses(heard, clips, adversarial)
        if adversarial:
            rebuilt.backward(heard.grad)
        else:
            figures["commitment"] = quantized.penalty
            commitment = COMMITMENT * latents.numel() * quantized.penalty
            torch.autograd.backward([rebuilt, commitment], [heard.grad, torch.ones_like(commitment)])
        flashy.distrib.sync_model(self.codec)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()
        if step % REVIVE_EVERY == 0 and step < REVIVE_UNTIL * self.adversarial_from:
            revive_dead_entries(self.codec.quantizer, latents.detach(), quantized.codes)
        self.average.update()
        figures |= {f"used_{index}": use for index, use in enumerate(perplexities(self.codec.quantizer))}
        return {name: figure.detach() for name, figure in figures.items()}

    def _balanced_losses(self, heard: torch.Tensor, clips: torch.Tensor, adversarial: bool) -> dict[str, torch.Tensor]:
        """Writes the balanced gradient of the losses into `heard.grad` and returns the losses."""
        losses = {"l1": nn.functional.l1_loss(heard, clips), "spectrum": self._spectrum(heard, clips)}
        if adversarial:
            losses["adv"], losses["feat"] = self._adversary(heard, clips)
        self._balancer.backward(losses, heard)
        return losses

    def _train_adversary(self, rebuilt: torch.Tensor, clips: torch.Tensor) -> torch.Tensor:
        """Makes one step of the adversary, at a learning rate that follows the codec's, and returns its loss."""
        for group in self._adversary.optimizer.param_groups:
            group["lr"] = ADVERSARY_RATE * self._schedule.get_last_lr()[0]
        loss: torch.Tensor = self._adversary.train_adv(rebuilt, clips)
        return loss


class GradientNorms:
    """The balancer's moving averages, computed like `flashy.averager`'s but saved with the training's state."""

    def __init__(self) -> None:
        self._total: dict[str, float] = {}
        self._weight: dict[str, float] = {}

    def update(self, norms: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Adds one step's gradient norms, by loss, and returns their averages."""
        values = torch.stack(list(norms.values())).tolist()
        for name, value in zip(norms, values, strict=True):
            self._total[name] = self._total.get(name, 0.0) * NORM_DECAY + value
            self._weight[name] = self._weight.get(name, 0.0) * NORM_DECAY + 1.0
        return {name: total / self._weight[name] for name, total in self._total.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"total": dict(self._total), "weight": dict(self._weight)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._total, self._weight = dict(state_dict["total"]), dict(state_dict["weight"])


def spectral_loss(sample_rate: int) -> nn.Module:
    """Builds a mel loss at windows of 128 … 2048 samples, linear and in decibels, with upstream's floor."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        loss: nn.Module = MultiScaleMelSpectrogramLoss(
            sample_rate, range_start=7, range_end=12, n_mels=64, f_min=64.0, normalized=True, alphas=False
        )
    return loss
