"""Trains MultiBand Diffusion for a codec (arXiv:2308.02560) as audiocraft's `DiffusionSolver` does.

Upstream trains each band in its own run; here all bands learn in one run, each from its own frequencies of the clips.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import flashy
import julius
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from audiocraft_triton.checkpoints.layout import DIFFUSION_FILE, resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.upstream import CompressionModel, NoiseSchedule, builders
from training.audio_crops import CropBatches, audio_files, crop_loader
from training.augmentation import random_loudness
from training.runtime import (
    Report,
    Stateful,
    TrainingRun,
    join_workers,
    seed_everything,
)
from training.upstream import CosineLRScheduler
from training.weight_average import WeightAverage


@dataclass(frozen=True, slots=True)
class DiffusionRecipe:
    """Sizes and hyperparameters.

    Attributes:
        bands: number of networks; each generates its part of the mel scale.
        hidden: channels of a network's outermost layer; they double from layer to layer, up to `max_channels`.
        fitted_clips: number of clips on which the loudness of each band is measured before training.
        batch: clips per step, over all processes.
        seconds: length of a clip.
        steps: total number of steps.
        learning_rate: rises over `warm_up` steps, then falls to zero as a cosine.
        average_decay: decay of the moving average of the weights, which is what the checkpoint keeps.
    """

    bands: int = 2
    hidden: int = 16
    max_channels: int = 64
    fitted_clips: int = 512
    batch: int = 64
    seconds: float = 1.0
    steps: int = 8000
    learning_rate: float = 1e-3
    warm_up: int = 200
    average_decay: float = 0.999
    seed: int = 2


MUSIC = DiffusionRecipe()


def train_diffusion(
    data: Path,
    codec: Path,
    run: Path,
    out: Path,
    recipe: DiffusionRecipe,
    *,
    minutes: float | None = None,
    report: Report = print,
) -> bool:
    """Trains the bands' networks, resuming where the last call with the same `run` stopped.

    Args:
        data: folder with audio files at any depth and of any sample rate.
        codec: checkpoint folder with the codec whose tokens the networks decode.
        run: folder for state and logs.
        out: checkpoint folder; `mbd_musicgen_32khz.th` is written there whenever training stops, finished or not.
        recipe: sizes and hyperparameters.
        minutes: stop after this many minutes; None: only when done.
        report: receives lines of progress.

    Returns:
        Whether all steps are done.

    Raises:
        CheckpointError: the checkpoint has no codec.
        InvalidRequest: the folder has no audio, or the run was started with other settings.
    """
    worker = join_workers()
    files = audio_files(data)
    seed_everything(recipe.seed)
    trainer = DiffusionTrainer(recipe, load_codec(resolve(str(codec)), worker.device), worker.device)
    settings = {**asdict(recipe), "files": len(files), "processes": worker.count}
    training = TrainingRun(
        run, worker, trainer.parts(), settings, steps=recipe.steps, minutes=minutes, seed=recipe.seed, report=report
    )

    def crops(batch: int, rank: int, step: int) -> CropBatches:
        return CropBatches(files, trainer.sample_rate, trainer.samples, batch, seed=recipe.seed, rank=rank, step=step)

    if training.step == 0:  # every process uses the same clips
        trainer.fit(next(crop_loader(crops(recipe.fitted_clips, worker.count, 0), 0)).to(worker.device))
    batches = crop_loader(crops(worker.share(recipe.batch), worker.rank, training.step), worker.helpers())
    for _step in training.each_step():
        clips = next(batches).to(worker.device, non_blocking=True)
        training.log(trainer.step(random_loudness(clips)))
    if worker.leads:
        out.mkdir(parents=True, exist_ok=True)
        torch.save(trainer.package(), out / DIFFUSION_FILE)
    return training.finished


def band_config(recipe: DiffusionRecipe, latent: int) -> DictConfig:
    """Returns the config of one band's network and noise schedule, as the checkpoint stores it.

    Args:
        latent: width of the codec's latents.
    """
    return OmegaConf.create(
        {
            "channels": 1,
            "schedule": {"beta_t0": 1e-4, "beta_t1": 2e-2, "num_steps": 1000, "variance": "beta_tilde",
                         "clip": 5.0, "rescale": 1.0, "beta_exp": 7.5, "repartition": "power", "noise_scale": 1.0},
            # A table of 1000 noise levels in every layer would be half of a network this small.
            "diffusion_unet": {"hidden": recipe.hidden, "depth": 4, "kernel": 8, "stride": 4, "res_blocks": 1,
                               "growth": 2.0, "norm_groups": 4, "max_channels": recipe.max_channels,
                               "emb_all_layers": False, "cross_attention": False, "bilstm": False,
                               "transformer": False, "codec_dim": latent},
            # Each network's part of the spectrum is scaled as a whole to the power of the noise. Upstream's equalizer
            # of 8 bands would amplify the bands that are empty in this part, and undoing that loses most of the signal.
            "processor": {"name": "multi_band_processor", "use": True, "n_bands": 1,
                          "num_samples": recipe.fitted_clips, "power_std": 1.0},
        }
    )  # fmt: skip


class DiffusionTrainer:
    """The bands' networks, noise schedules and optimizer.

    Attributes:
        sample_rate: the codec's, Hz.
        samples: length of a clip.
    """

    def __init__(self, recipe: DiffusionRecipe, codec: CompressionModel, device: torch.device) -> None:
        self.sample_rate = int(codec.sample_rate)
        self.samples = round(recipe.seconds * self.sample_rate)
        self._recipe = recipe
        self._codec = codec
        self._config = band_config(recipe, codec.quantizer.dimension)
        self._split = julius.SplitBands(sample_rate=self.sample_rate, n_bands=recipe.bands).to(device)
        networks = [builders.get_diffusion_model(self._config) for _band in range(recipe.bands)]
        self._networks = nn.ModuleList(networks).to(device).train()
        processors = [
            builders.get_processor(self._config.processor, sample_rate=self.sample_rate) for _band in networks
        ]
        self._processors = nn.ModuleList(processors).to(device)
        self._schedules = [
            NoiseSchedule(**self._config.schedule, sample_processor=processor, device=device)
            for processor in self._processors
        ]
        self._optimizer = torch.optim.Adam(
            self._networks.parameters(), recipe.learning_rate, betas=(0.9, 0.99), fused=device.type == "cuda"
        )
        self._rate = CosineLRScheduler(self._optimizer, recipe.steps, recipe.warm_up)
        self._average = WeightAverage(self._networks, recipe.average_decay)

    def parts(self) -> dict[str, Stateful]:
        """Returns everything that changes during training, by name."""
        return {
            "networks": self._networks,
            "processors": self._processors,
            "optimizer": self._optimizer,
            "schedule": self._rate,
            "average": self._average,
        }

    @torch.no_grad()
    def fit(self, clips: torch.Tensor) -> None:
        """Measures the loudness of each band, so that all bands are equally loud in diffusion.

        Args:
            clips: float32 [fitted_clips, 1, samples].
        """
        for schedule, band in zip(self._schedules, self._split(clips), strict=True):
            schedule.sample_processor.project_sample(band)

    def step(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Makes one step of every band's network.

        Args:
            clips: float32 [batch, 1, samples] on the device.

        Returns:
            The mean squared error of the estimated noise by band; an estimate of silence has an error of 1.
        """
        with torch.no_grad():
            latents = self._codec.decode_latent(self._codec.encode(clips)[0])
            bands = self._split(clips)
        losses = {}
        for index, (network, schedule) in enumerate(zip(self._networks, self._schedules, strict=True)):
            noisy, noise, level = schedule.get_training_item(bands[index], tensor_step=True)
            estimate = network(noisy, level, condition=latents).sample
            losses[f"band_{index}"] = nn.functional.mse_loss(estimate, noise)
        torch.autograd.backward(list(losses.values()))
        flashy.distrib.sync_model(self._networks)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._rate.step()
        self._average.update()
        return {name: loss.detach() for name, loss in losses.items()}

    def package(self) -> dict[Any, Any]:
        """Returns the content of `mbd_musicgen_32khz.th`: the averaged weights, on the CPU."""
        averaged = self._average.module_state()
        package: dict[Any, Any] = {"sample_rate": self.sample_rate, "n_bands": self._recipe.bands}
        for index, processor in enumerate(self._processors):
            prefix = f"{index}."
            package[index] = {
                "cfg": self._config,
                "model_state": {
                    name.removeprefix(prefix): value for name, value in averaged.items() if name.startswith(prefix)
                },
                "processor_state": {name: value.cpu() for name, value in processor.state_dict().items()},
            }
        return package
