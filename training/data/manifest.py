"""The list of a dataset's clips: `manifest.jsonl` in the dataset's folder, one JSON object per line."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiocraft_triton.contract.errors import InvalidRequest

MANIFEST_FILE = "manifest.jsonl"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file with its captions and labels.

    Attributes:
        file: path below the dataset's folder, with forward slashes.
        split: "train", "validation" or "test".
        seed: the seed of the clip within its dataset and split.
        seconds: length of the audio.
        sample_rate: Hz.
        captions: the main caption first, then its paraphrases.
        labels: facts about the clip's content, by name; JSON values only.
        sha256: SHA-256 of the audio file.

    Raises:
        InvalidRequest: the split doesn't exist, there is no caption, or the path leaves the folder.
    """

    file: str
    split: str
    seed: int
    seconds: float
    sample_rate: int
    captions: tuple[str, ...]
    labels: Mapping[str, Any]
    sha256: str

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InvalidRequest("split", self.split, f"must be one of {', '.join(SPLITS)}")
        if not self.captions or not all(self.captions):
            raise InvalidRequest("captions", list(self.captions), "must hold at least one, and none may be empty")
        if Path(self.file).is_absolute() or ".." in Path(self.file).parts:
            raise InvalidRequest("file", self.file, "must be a path below the dataset's folder")


def write_manifest(folder: Path, clips: Iterable[Clip]) -> Path:
    """Writes the manifest, sorted by file, in one step, so that a reader never sees half of it."""
    lines = [
        json.dumps(dataclasses.asdict(clip), ensure_ascii=False, sort_keys=True) + "\n"
        for clip in sorted(clips, key=lambda clip: clip.file)
    ]
    path = folder / MANIFEST_FILE
    partial = path.with_suffix(".partial")
    partial.write_text("".join(lines), encoding="utf-8")
    os.replace(partial, path)
    return path


def read_manifest(folder: Path, split: str | None = None) -> list[Clip]:
    """Reads the clips of a dataset, or of one of its splits, in the manifest's order.

    Raises:
        InvalidRequest: the manifest is missing, one of its lines is not a clip, or the split is unknown.
    """
    if split is not None and split not in SPLITS:
        raise InvalidRequest("split", split, f"must be one of {', '.join(SPLITS)}")
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise InvalidRequest("data", str(folder), f"has no {MANIFEST_FILE}: build the dataset first")
    clips = [_clip(line, f"{path.name}:{number}") for number, line in enumerate(_lines(path), start=1)]
    return [clip for clip in clips if split is None or clip.split == split]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _clip(line: str, where: str) -> Clip:
    try:
        fields = json.loads(line)
        return Clip(**{**fields, "captions": tuple(fields["captions"])})
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequest("data", where, f"is not a clip: {error}") from error
