"""audiocraft's `MusicGen.generate` with audiocraft's own loader: all requests in one batch, EnCodec included."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from audiocraft_triton.checkpoints.upstream import T5Conditioner
from benchmarks.contenders.contender import Clips, Job, finish
from benchmarks.upstream import MusicGen, T5Config
from training.architecture import FRAME_RATE, TEXT_ENCODER_FOLDER


@contextmanager
def opened(job: Job) -> Iterator[AudiocraftBatch]:
    """Loads the checkpoint in the precision that audiocraft chooses for the device."""
    yield AudiocraftBatch(_load(job.checkpoint.resolve(), job.device), job)


class AudiocraftBatch:
    """See `Contender`."""

    def __init__(self, model: MusicGen, job: Job) -> None:
        self._model = model
        self._job = job
        self.versions = {"audiocraft": version("audiocraft")}

    @property
    def description(self) -> str:
        chosen = "float16 (autocast)" if self._job.device.type == "cuda" else "float32"
        return f"audiocraft {self.versions['audiocraft']}, {chosen}, MusicGen.generate with all requests in one batch"

    def generate(self, requests: int, seconds: float) -> Clips:
        self._model.set_generation_params(use_sampling=True, top_k=250, duration=seconds, cfg_coef=3.0)
        torch.manual_seed(self._job.seed)
        finish(self._job.device)
        start = time.perf_counter()
        sound = self._model.generate(self._job.prompts(requests)).float().cpu()
        wall = time.perf_counter() - start
        waveforms = [clip[0] for clip in sound.numpy()]
        return Clips(waveforms, self._model.sample_rate, wall, wall / (seconds * FRAME_RATE))


def _load(checkpoint: Path, device: torch.device) -> MusicGen:
    """Loads the model; upstream accepts only a T5 name from its list and looks it up from the working directory."""
    if TEXT_ENCODER_FOLDER not in T5Conditioner.MODELS:
        T5Conditioner.MODELS.append(TEXT_ENCODER_FOLDER)
    T5Conditioner.MODELS_DIMS[TEXT_ENCODER_FOLDER] = T5Config.from_pretrained(checkpoint / TEXT_ENCODER_FOLDER).d_model
    before = Path.cwd()
    os.chdir(checkpoint)
    try:
        return MusicGen.get_pretrained(str(checkpoint), device=str(device))
    finally:
        os.chdir(before)
