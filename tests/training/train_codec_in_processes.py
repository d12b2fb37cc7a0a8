"""Run by torchrun: trains a tiny codec, then checks that the processes agree although each sees different clips.

Usage: train_codec_in_processes.py SOUNDS FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from test_training_codec import TINY
from torch import distributed

from training.codec import CodecTrainer, train_codec
from training.runtime import join_workers, seed_everything


def main(sounds: Path, folder: Path) -> None:
    """Raises AssertionError if the weights, codebooks or adversary of the processes differ."""
    assert train_codec(sounds, folder / "run", folder / "out", TINY)
    worker = join_workers()
    seed_everything(1)
    trainer = CodecTrainer(TINY, worker.device)
    for step in range(3):
        seed_everything(1, step, worker.rank)
        trainer.step(step, torch.rand(2, 1, trainer.samples) - 0.5)
    for name in ("codec", "adversary"):
        for key, tensor in trainer.parts()[name].state_dict().items():
            if isinstance(tensor, torch.Tensor):
                everywhere = [torch.empty_like(tensor) for _process in range(worker.count)]
                distributed.all_gather(everywhere, tensor)
                assert all(torch.allclose(one, tensor, rtol=1e-5, atol=1e-7) for one in everywhere), f"{name}.{key}"
    print(f"{worker.count} processes agree")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
