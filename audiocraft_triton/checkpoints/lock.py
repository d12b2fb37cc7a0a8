"""Reads and writes lock files, which record the commits and checksums of fetched checkpoints."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from audiocraft_triton.contract.errors import InvalidRequest

LOCK_FILE = "checkpoint.lock.json"
LOCK_FORMAT = 1

Lock = dict[str, Any]


def file_facts(path: Path) -> dict[str, Any]:
    """Returns a file's entry in a lock: its sha256 and its size in bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return {"sha256": digest.hexdigest(), "size": path.stat().st_size}


def read_lock(path: Path) -> Lock:
    """Reads a lock file.

    Raises:
        InvalidRequest: the file is not a lock, or has another format.
    """
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        if lock["format"] != LOCK_FORMAT or not isinstance(lock["repositories"], dict):
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest("lock", str(path), f"is not a readable {LOCK_FILE}") from error
    return dict(lock)


def merged(path: Path, new: Lock) -> Lock:
    """Returns the lock at `path`, if it exists, with the repositories of `new` added or replaced."""
    old: Lock = read_lock(path) if path.is_file() else {"repositories": {}, "checkpoints": {}}
    return {
        "format": LOCK_FORMAT,
        "repositories": {**old["repositories"], **new["repositories"]},
        "checkpoints": {**old["checkpoints"], **new["checkpoints"]},
    }


def write_lock(path: Path, lock: Lock) -> None:
    """Writes a lock file, all or nothing."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)
