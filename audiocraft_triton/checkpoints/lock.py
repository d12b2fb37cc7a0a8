"""Lock files: at which commits and with which checksums checkpoints were fetched."""

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
    """What a lock says of a file: its sha256 and its size in bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return {"sha256": digest.hexdigest(), "size": path.stat().st_size}


def read_lock(path: Path) -> Lock:
    """Reads a lock file.

    Raises:
        InvalidRequest: it is none, or of another format.
    """
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        if lock["format"] != LOCK_FORMAT or not isinstance(lock["repositories"], dict):
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest("lock", str(path), f"is no {LOCK_FILE} that can be read") from error
    return dict(lock)


def merged(path: Path, new: Lock) -> Lock:
    """The lock at `path`, if there is one, with what `new` says in place of what it said of the same repositories."""
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
