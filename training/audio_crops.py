"""Batches of random crops from a folder of audio, addressed by step: a resumed run sees the same batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from audiocraft_triton.contract.errors import InvalidRequest

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"}


def audio_files(folder: Path) -> list[Path]:
    """Lists every audio file below a folder, sorted.

    Raises:
        InvalidRequest: the folder has no audio files.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InvalidRequest("data", str(folder), f"must be a folder with audio files ({', '.join(sorted(SUFFIXES))})")
    return files


def read_crop(path: Path, sample_rate: int, samples: int, start: float) -> NDArray[np.float32]:
    """Reads a mono crop of a file at a sample rate, without reading the rest of the file.

    Args:
        path: an audio file.
        sample_rate: of the result, Hz.
        samples: length of the result; a shorter file is repeated.
        start: position of the crop among all possible starts, 0 … 1.

    Returns:
        float32 [samples].
    """
    with soundfile.SoundFile(path) as file:
        wanted = -(-samples * file.samplerate // sample_rate)
        file.seek(int(start * (max(file.frames - wanted, 0) + 1 - 1e-9)))
        piece = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
        rate = file.samplerate
    if len(piece) == 0:
        raise InvalidRequest("data", str(path), "holds no audio")
    if rate != sample_rate:
        piece = soxr.resample(piece, rate, sample_rate)
    return np.resize(piece, samples).astype(np.float32, copy=False)


class CropBatches(IterableDataset[torch.Tensor]):
    """Endless batches of crops, float32 [batch, 1, samples]; the batch of step s depends only on (seed, s, rank)."""

    def __init__(
        self, files: Sequence[Path], sample_rate: int, samples: int, batch: int, *, seed: int, rank: int, step: int
    ) -> None:
        self._files = list(files)
        self._sample_rate = sample_rate
        self._samples = samples
        self._batch = batch
        self._address = (seed, rank)
        self._step = step

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        step = self._step + (worker.id if worker else 0)
        while True:
            yield self._batch_of(step)
            step += worker.num_workers if worker else 1

    def _batch_of(self, step: int) -> torch.Tensor:
        draws = np.random.default_rng((*self._address, step))
        chosen = draws.integers(len(self._files), size=self._batch)
        crops = [
            read_crop(self._files[index], self._sample_rate, self._samples, start)
            for index, start in zip(chosen, draws.random(self._batch), strict=True)
        ]
        return torch.from_numpy(np.stack(crops)[:, None])


def crop_loader(batches: CropBatches, processes: int) -> Iterator[torch.Tensor]:
    """Yields the batches in the order of their steps; `processes` processes read ahead (0: each is read on demand)."""
    pinned = torch.cuda.is_available()
    return iter(DataLoader(batches, batch_size=None, num_workers=processes, pin_memory=pinned))
