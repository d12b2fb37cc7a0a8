"""Locates the model repository: in the checkout or, for an installed package, in a folder of the user's data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VARIABLE = "AUDIOCRAFT_MODEL_REPOSITORY"
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDER = "model_repository"
_EXPORTED = ("model.pt", "manifest.json")


def is_installed(package: Path = _PACKAGE) -> bool:
    """Tells whether this package was installed from a wheel, which contains the models' folders, and is no checkout."""
    return (package / _FOLDER).is_dir()


def packaged_repository(package: Path = _PACKAGE) -> Path:
    """Returns the folder of the models' configurations and code: `model_repository` in the checkout or the package."""
    return (package if is_installed(package) else package.parent) / _FOLDER


def default_repository(package: Path = _PACKAGE) -> Path:
    """Returns the default repository for exporting and serving.

    It is AUDIOCRAFT_MODEL_REPOSITORY, else `model_repository` in the checkout, else a folder in the data of the user:
    nothing is ever written into an installed package. That folder need not exist, see `fill_repository`.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    return _users_repository() if is_installed(package) else packaged_repository(package)


MODEL_REPOSITORY = packaged_repository()
"""Default repository of this package."""


def fill_repository(repository: Path, package: Path = _PACKAGE) -> None:
    """Copies the models' configurations and code into a repository, if needed; exported models stay unchanged.

    A folder without models becomes a whole repository. The repository in the user's data is kept equal to the package,
    so that upgrades reach it. Every other repository belongs to its owner and is not changed.
    """
    source = packaged_repository(package)
    is_new = not any(repository.glob("*/config.pbtxt"))
    if repository != source and (is_new or repository == _users_repository()):
        ignored = shutil.ignore_patterns(*_EXPORTED, "__pycache__")
        shutil.copytree(source, repository, ignore=ignored, dirs_exist_ok=True)


def _users_repository() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "audiocraft-triton" / _FOLDER
