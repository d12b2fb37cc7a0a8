"""Encodes a dataset for the language model: every clip's codes, with the clip's captions.

A folder of tokens holds, for the splits train and validation,

    <split>.safetensors   "codes": int16 [clips, codebooks, frames]; the metadata identifies their codec
    <split>.jsonl         the captions of each clip in the same order: one JSON list per line
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from audiocraft_triton.checkpoints.layout import CODEC_FILE, Checkpoint, resolve
from audiocraft_triton.checkpoints.loading import load_codec
from audiocraft_triton.checkpoints.reading import read_package
from audiocraft_triton.checkpoints.safe_weights import is_codebook
from audiocraft_triton.checkpoints.upstream import CompressionModel
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from training.data.manifest import Clip, read_manifest
from training.runtime import REPORT_SECONDS, Report

SPLITS = ("train", "validation")
READERS = 32
BATCHES_AHEAD = 4
_FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True)
class TokenSplit:
    """The clips of one split.

    Attributes:
        codes: int16 [clips, codebooks, frames].
        captions: the captions of each clip, the main one first.
        codec: SHA-256 of the codec's encoder and codebooks.
        card: number of entries in each codebook.
        frame_rate: frames per second.
    """

    codes: torch.Tensor
    captions: tuple[tuple[str, ...], ...]
    codec: str
    card: int
    frame_rate: float

    @property
    def seconds(self) -> float:
        """The length of each clip in seconds."""
        return self.codes.shape[-1] / self.frame_rate


def codec_digest(checkpoint: Checkpoint) -> str:
    """Returns the SHA-256 of a codec's encoder and codebooks, which decide its codes; the decoder may keep learning."""
    weights = read_package(checkpoint.files(CODEC_FILE))["best_state"]
    digest = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith("encoder.") or is_codebook(name):
            digest.update(name.encode())
            digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()


def encode_dataset(data: Path, checkpoint: Path, out: Path, *, batch: int, report: Report = print) -> None:
    """Encodes the clips of a dataset, on the GPU if there is one; skips a split that is up to date.

    Args:
        data: folder with a manifest; its clips are mono, of the codec's sample rate and of equal length.
        checkpoint: folder with the codec.
        out: folder for the tokens.
        batch: number of clips encoded at a time.
        report: receives lines of progress.

    Raises:
        InvalidRequest: the manifest is missing, a split has no clips, or clips don't fit the codec or each other.
        CheckpointError: the checkpoint has no codec, or one whose codes don't fit 16 bits.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = resolve(str(checkpoint))
    codec = load_codec(found, device)
    if codec.cardinality > torch.iinfo(torch.int16).max:
        raise CheckpointError(f"checkpoint {found.name!r}: codebooks of {codec.cardinality:,} don't fit 16 bits")
    out.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        clips = read_manifest(data, split)
        if not clips:
            raise InvalidRequest("data", str(data), f"has no {split} clips in its manifest")
        metadata = {
            "codec": codec_digest(found),
            "clips": hashlib.sha256("".join(clip.sha256 for clip in clips).encode()).hexdigest(),
            "card": str(codec.cardinality),
            "frame_rate": str(codec.frame_rate),
        }
        weights = out / f"{split}.safetensors"
        _write_captions(out / f"{split}.jsonl", clips)
        if weights.is_file() and _metadata(weights) == metadata:
            report(f"{split}: {len(clips):,} clips are already encoded")
            continue
        codes = _encode(codec, data, clips, batch, device, report)
        partial = weights.with_suffix(".partial")
        save_file({"codes": codes}, partial, metadata)
        os.replace(partial, weights)


def read_tokens(folder: Path, split: str) -> TokenSplit:
    """Reads the tokens that `encode_dataset` wrote for a split.

    Raises:
        InvalidRequest: the tokens are missing or damaged, or the numbers of clips and captions differ.
    """
    path = folder / f"{split}.safetensors"
    if not path.is_file():
        raise InvalidRequest("tokens", str(folder), f"has no {path.name}: encode the dataset first")
    try:
        metadata = _metadata(path)
        with safe_open(path, "pt") as file:
            codes = file.get_tensor("codes")
        lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        captions = tuple(tuple(json.loads(line)) for line in lines)
        card, frame_rate = int(metadata["card"]), float(metadata["frame_rate"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InvalidRequest("tokens", str(path), f"can't be read: {error}") from error
    if len(captions) != len(codes):
        raise InvalidRequest("tokens", str(path), f"holds {len(codes)} clips, but captions for {len(captions)}")
    return TokenSplit(codes, captions, metadata["codec"], card, frame_rate)


def _write_captions(path: Path, clips: Sequence[Clip]) -> None:
    lines = (json.dumps(list(clip.captions), ensure_ascii=False) + "\n" for clip in clips)
    path.write_text("".join(lines), encoding="utf-8")


def _metadata(path: Path) -> Mapping[str, str]:
    with safe_open(path, "pt") as file:
        metadata: Mapping[str, str] | None = file.metadata()
    return metadata or {}


def _encode(
    codec: CompressionModel, data: Path, clips: Sequence[Clip], batch: int, device: torch.device, report: Report
) -> torch.Tensor:
    """Returns the codes of all clips, int16 [clips, codebooks, frames], on the CPU.

    The codes stay on the device until the end, and threads read the audio, so nothing waits for the device in between.
    """
    split, started = clips[0].split, time.monotonic()
    reported = started
    parts: list[torch.Tensor] = []
    done = 0
    with torch.inference_mode():
        for audio in _audio_batches(data, clips, batch, codec.sample_rate, device):
            waveforms = audio.to(device, non_blocking=True).float() / _FULL_SCALE
            codes, _scale = codec.encode(waveforms[:, None])
            parts.append(codes.to(torch.int16))
            done += len(audio)
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                report(f"{split}: {done:,} of {len(clips):,} clips")
        encoded = torch.cat(parts).cpu()
    report(f"{split}: {len(clips):,} clips encoded in {time.monotonic() - started:.0f} s")
    return encoded


def _audio_batches(
    data: Path, clips: Sequence[Clip], batch: int, sample_rate: int, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yields int16 [up to batch, samples] in the order of the clips; threads read a few batches ahead."""
    samples = soundfile.info(data / clips[0].file).frames
    waiting: deque[tuple[torch.Tensor, list[Future[None]]]] = deque()
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(clips), batch):
            chosen = clips[start : start + batch]
            audio = torch.empty(len(chosen), samples, dtype=torch.int16, pin_memory=device.type == "cuda")
            reading = [
                readers.submit(_read_into, row, data, clip.file, sample_rate)
                for row, clip in zip(audio, chosen, strict=True)
            ]
            waiting.append((audio, reading))
            if len(waiting) > BATCHES_AHEAD:
                yield _when_read(*waiting.popleft())
        while waiting:
            yield _when_read(*waiting.popleft())


def _when_read(audio: torch.Tensor, reading: Sequence[Future[None]]) -> torch.Tensor:
    for future in reading:
        future.result()
    return audio


def _read_into(row: torch.Tensor, data: Path, name: str, sample_rate: int) -> None:
    with soundfile.SoundFile(data / name) as file:
        if (file.samplerate, file.channels) != (sample_rate, 1):
            raise InvalidRequest(
                "data", name, f"has {file.channels} channels at {file.samplerate} Hz: must be 1 at {sample_rate}"
            )
        if file.frames != len(row):
            raise InvalidRequest("data", name, f"has {file.frames:,} samples, not {len(row):,} like the first clip")
        file.read(dtype="int16", out=row.numpy())
