"""Splits the files of a folder into training, calibration and test parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from audiocraft_triton.contract.errors import InvalidRequest
from training.audio_crops import audio_files
from training.data.manifest import MANIFEST_FILE, read_manifest

MIN_FILES = 10
HELD_OUT_SHARE = 10  # one file in this many for validation, and as many for the test
MIN_HELD_OUT = 2


@dataclass(frozen=True, slots=True)
class Splits:
    """The files of a folder, each in exactly one part."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    test: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.train) + len(self.validation) + len(self.test)


def split_files(folder: Path, field: str = "data") -> Splits:
    """Splits a folder's audio files by its manifest, or without one 80/10/10 in the order of their paths' hashes.

    A file is never divided, because crops of one file are too similar to test what was learned from the others.

    Args:
        folder: any folder with audio files at any depth.
        field: name of the user's input, for errors.

    Raises:
        InvalidRequest: the folder doesn't exist, has fewer than 10 audio files or one that can't be read, or its
            manifest lacks clips of a split.
    """
    if not folder.is_dir():
        raise InvalidRequest(field, str(folder), "must be an existing folder with audio files")
    split = _split_by_manifest if (folder / MANIFEST_FILE).is_file() else _split_by_hash
    splits = split(folder, field)
    for path in (*splits.train, *splits.validation, *splits.test):
        _require_audio(path, field)
    return splits


def _split_by_manifest(folder: Path, field: str) -> Splits:
    clips = read_manifest(folder)
    parts = {
        split: tuple(folder / clip.file for clip in clips if clip.split == split)
        for split in ("train", "validation", "test")
    }
    for split, files in parts.items():
        if len(files) < MIN_HELD_OUT:
            raise InvalidRequest(
                field, str(folder), f"lists {len(files)} {split} clips in {MANIFEST_FILE}: needs {MIN_HELD_OUT}"
            )
    return Splits(**parts)


def _split_by_hash(folder: Path, field: str) -> Splits:
    files = _audio_files(folder, field)
    if len(files) < MIN_FILES:
        raise InvalidRequest(
            field,
            str(folder),
            f"holds {len(files)} audio files: must be at least {MIN_FILES}, because some are kept for testing",
        )
    ordered = sorted(files, key=lambda path: hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest())
    held_out = max(MIN_HELD_OUT, len(ordered) // HELD_OUT_SHARE)
    return Splits(
        train=tuple(sorted(ordered[2 * held_out :])),
        validation=tuple(sorted(ordered[held_out : 2 * held_out])),
        test=tuple(sorted(ordered[:held_out])),
    )


def _audio_files(folder: Path, field: str) -> Sequence[Path]:
    try:
        return audio_files(folder)
    except InvalidRequest as error:
        raise InvalidRequest(field, error.value, error.bound) from error


def _require_audio(path: Path, field: str) -> None:
    try:
        frames = soundfile.info(path).frames
    except (soundfile.LibsndfileError, OSError) as error:
        raise InvalidRequest(field, path.name, f"is not a readable audio file: {error}") from error
    if frames == 0:
        raise InvalidRequest(field, path.name, "holds no audio")
