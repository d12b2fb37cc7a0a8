"""Generates clips from a dataset's captions, as fakes that discriminators learn to tell from the dataset's audio."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import soundfile

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.engine.engine import Engine
from audiocraft_triton.engine.request import GenerationRequest
from training.data.manifest import read_manifest
from training.runtime import Report

# The measures generate with small seeds; their clips must differ from those that discriminators have learned.
FIRST_SEED = 1_000_000
SLOTS = 32


def generate_clips(
    checkpoint: Path, data: Path, out: Path, *, clips: int, seconds: float = 10.0, report: Report = print
) -> None:
    """Writes 16-bit WAV files `out/000000.wav` …, one for each of the first captions of a dataset's train split.

    Args:
        checkpoint: folder of a complete checkpoint.
        data: folder of a dataset with a manifest.
        out: folder for the clips.
        clips: number of clips.
        seconds: length of each clip.
        report: receives lines of progress.

    Raises:
        InvalidRequest: the dataset has no manifest, or fewer captions than clips.
        CheckpointError: the checkpoint doesn't exist.
    """
    captions = [clip.captions[0] for clip in read_manifest(data, "train")]
    if not 1 <= clips <= len(captions):
        raise InvalidRequest("clips", clips, f"must be 1 to {len(captions)}, the captions of {data}")
    out.mkdir(parents=True, exist_ok=True)
    requests = (
        GenerationRequest(caption, duration=seconds, seed=FIRST_SEED + index)
        for index, caption in enumerate(captions[:clips])
    )
    with closing(Engine(str(checkpoint), slots=SLOTS)) as engine:
        engine.warm_up()
        for index, handle in enumerate(engine.generate_many(requests)):
            clip = handle.result()
            soundfile.write(out / f"{index:06d}.wav", clip.waveform.T, clip.sample_rate, subtype="PCM_16")
    report(f"{clips:,} clips of {seconds:g} s in {out}")
