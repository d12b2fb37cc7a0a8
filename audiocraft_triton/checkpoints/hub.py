"""Downloads checkpoints from a model hub into a folder that can be served without the hub and without pickle.

A checkpoint's files, and the T5 that its config names, are each downloaded at one commit, compared with the hub's
checksums (and with those of a lock file, if given), and converted to safetensors and JSON. `checkpoint.lock.json`
records what was fetched: passed as a lock, it fetches exactly the same files or fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from audiocraft_triton.checkpoints.convert import FILES, convert
from audiocraft_triton.checkpoints.layout import CODEC_FILE, LM_FILE, Checkpoint
from audiocraft_triton.checkpoints.lock import LOCK_FILE, LOCK_FORMAT, Lock, file_facts, merged, read_lock, write_lock
from audiocraft_triton.checkpoints.precision import Precision
from audiocraft_triton.checkpoints.reading import experiment_config, read_package
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest

_TEXT_ENCODER_FILES = (
    *("config.json", "model.safetensors", "spiece.model", "tokenizer.json"),
    *("tokenizer_config.json", "special_tokens_map.json"),
)
_DOWNLOADS = ".downloads"
_SPACE = 2.2  # times the size of the download: the files, their conversion, and a margin

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository at one commit.

    Attributes:
        sha256: the hub's checksum of a large file; None for a small one.
        blob: git's blob id of a small file.
    """

    name: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit."""

    name: str
    commit: str
    files: Mapping[str, HubFile]


def fetch(
    names: Iterable[str],
    out: Path,
    *,
    revision: str = "main",
    lock: Path | None = None,
    lm: Precision = "float32",
    report: Report = print,
) -> Lock:
    """Fills `out/<hub id>/` for each name, each all or nothing, and writes `out/checkpoint.lock.json`.

    Existing files are verified and kept; an interrupted download is resumed. HF_ENDPOINT and HF_TOKEN are honoured.

    Args:
        names: hub ids such as facebook/musicgen-small.
        revision: branch, tag or commit of all names; a T5 always comes from its main branch. Excludes `lock`.
        lock: lock file that an earlier call wrote; its commits and checksums must match.
        lm: precision of the language model's weights; all other weights stay float32.

    Returns:
        The lock of everything fetched by this call.

    Raises:
        InvalidRequest: the lock lacks a name, or a folder holds something else.
        CheckpointError: the hub refuses or can't be reached, a checksum differs, or a file is not a checkpoint.
    """
    pinned = read_lock(lock) if lock is not None else None
    fetched: Lock = {"format": LOCK_FORMAT, "repositories": {}, "checkpoints": {}}
    for name in names:
        part = _fetch_one(name, out, revision, pinned, lm, report)
        fetched["repositories"] |= part["repositories"]
        fetched["checkpoints"] |= part["checkpoints"]
    write_lock(out / LOCK_FILE, merged(out / LOCK_FILE, fetched))
    return fetched


def _fetch_one(name: str, out: Path, revision: str, pinned: Lock | None, lm: Precision, report: Report) -> Lock:
    folder = out / name
    wanted = pinned["repositories"].get(name) if pinned is not None else None
    if pinned is not None and wanted is None:
        raise InvalidRequest("lock", name, f"is not in the lock, which has {', '.join(sorted(pinned['repositories']))}")
    if (folder / LOCK_FILE).is_file():
        return _verified(folder, name, wanted, revision, report)
    if folder.exists() and any(folder.iterdir()):
        raise InvalidRequest("out", str(folder), f"holds files that were not fetched (it has no {LOCK_FILE})")

    repositories: dict[str, Any] = {}
    scratch = out / _DOWNLOADS / name.replace("/", "--")
    repository = _look_up(name, wanted["revision"] if wanted else revision)
    report(f"{name} at {repository.commit}")
    present = [file for file in FILES if file in repository.files]
    if not present:
        raise CheckpointError(f"{name} has none of {', '.join(FILES)}: it is not an audiocraft checkpoint")
    repositories[name] = _download(repository, present, scratch, wanted, report)
    for text_encoder in _text_encoders(Checkpoint(name, scratch)):
        its_lock = pinned["repositories"].get(text_encoder) if pinned is not None else None
        found = _look_up(text_encoder, its_lock["revision"] if its_lock else "main")
        report(f"{text_encoder} (its text encoder) at {found.commit}")
        files = [file for file in _TEXT_ENCODER_FILES if file in found.files]
        repositories[text_encoder] = _download(found, files, scratch / text_encoder, its_lock, report)
    _require_own_codec(Checkpoint(name, scratch))
    convert(Checkpoint(name, scratch), folder, lm=lm, rest="float32", report=report)
    written = {str(path.relative_to(folder)): file_facts(path) for path in _files(folder)}
    lock: Lock = {
        "format": LOCK_FORMAT,
        "repositories": repositories,
        "checkpoints": {name: {"lm": lm, "files": written}},
    }
    write_lock(folder / LOCK_FILE, lock)
    shutil.rmtree(scratch)
    return lock


def _verified(folder: Path, name: str, wanted: Mapping[str, Any] | None, revision: str, report: Report) -> Lock:
    """Returns the lock of an existing folder after checking that it is complete and is what was asked for."""
    lock = read_lock(folder / LOCK_FILE)
    commit = lock["repositories"][name]["revision"]
    asked = wanted["revision"] if wanted else revision
    if asked not in (commit, "main"):
        raise InvalidRequest("out", str(folder), f"holds revision {commit}, not {asked}: choose another folder")
    for file, facts in lock["checkpoints"][name]["files"].items():
        if not (folder / file).is_file() or file_facts(folder / file) != facts:
            raise CheckpointError(f"{folder / file} is not what was fetched: remove {folder} and fetch again")
    report(f"{name} at {commit} is already there")
    return lock


def _look_up(name: str, revision: str) -> Repository:
    with _clear_errors(name, revision):
        info = HfApi(endpoint=_endpoint()).model_info(name, revision=revision, files_metadata=True)
    files = {
        entry.rfilename: HubFile(
            entry.rfilename, entry.size or 0, entry.lfs.sha256 if entry.lfs is not None else None, entry.blob_id
        )
        for entry in info.siblings or []
    }
    if not info.sha:
        raise CheckpointError(f"the hub names no commit of {name} at {revision}")
    return Repository(name, info.sha, files)


def _download(
    repository: Repository, files: Iterable[str], folder: Path, wanted: Mapping[str, Any] | None, report: Report
) -> dict[str, Any]:
    """Downloads and checks files. Returns the repository's part of the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [repository.files[file] for file in files]
    needed = int(_SPACE * sum(file.size for file in chosen))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CheckpointError(f"{repository.name} needs {needed / 1e9:.1f} GB in {folder}; {free / 1e9:.1f} are free")
    facts: dict[str, Any] = {}
    for file in chosen:
        with _clear_errors(repository.name, repository.commit):
            path = Path(
                hf_hub_download(
                    repository.name, file.name, revision=repository.commit, local_dir=folder, endpoint=_endpoint(),
                    library_name="audiocraft-triton",
                )
            )  # fmt: skip
        facts[file.name] = file_facts(path)
        problem = _difference(file, path, facts[file.name], wanted)
        if problem is not None:
            path.unlink()
            raise CheckpointError(f"{file.name} of {repository.name}: {problem}; it was removed")
        report(f"{file.name}: {file.size / 1e6:.1f} MB, sha256 {facts[file.name]['sha256'][:12]}…")
    return {"revision": repository.commit, "files": facts}


def _difference(file: HubFile, path: Path, facts: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> str | None:
    """Returns what is wrong with a downloaded file, or None."""
    if file.sha256 is not None and facts["sha256"] != file.sha256:
        return f"its sha256 is {facts['sha256']}, but the hub's is {file.sha256}"
    if file.sha256 is None and file.blob is not None and _git_blob(path) != file.blob:
        return "it is not the file that the hub describes"
    if wanted is not None and wanted["files"].get(file.name) != facts:
        return f"its sha256 is {facts['sha256']}, but the lock has another"
    return None


def _text_encoders(checkpoint: Checkpoint) -> list[str]:
    """Returns the hub ids of the T5s that a downloaded language model's config names."""
    if not checkpoint.has(LM_FILE):
        return []
    files = checkpoint.files(LM_FILE)
    config = experiment_config(read_package(files), checkpoint, files[0].name)
    return sorted({str(entry.t5.name) for entry in config.conditioners.values() if entry.get("model") == "t5"})


def _require_own_codec(checkpoint: Checkpoint) -> None:
    if checkpoint.has(CODEC_FILE):
        package = read_package(checkpoint.files(CODEC_FILE))
        if "pretrained" in package:
            raise CheckpointError(
                f"the codec of {checkpoint.name} comes from another library ({package['pretrained']}), which would "
                "fetch it at every start: such checkpoints can't be prepared"
            )


def _git_blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _clear_errors(name: str, revision: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as error:
        raise CheckpointError(f"{name} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no {name}, or it is private (set HF_TOKEN)") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{name} has no revision {revision}") from error
    except OfflineModeIsEnabled as error:
        raise CheckpointError("HF_HUB_OFFLINE is set: fetching needs the hub") from error
    except Exception as error:  # the hub client raises types of several libraries
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{name} can't be fetched: {reason}; run the same command again to resume") from error
