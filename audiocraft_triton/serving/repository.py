"""Where the model repository lies: in the checkout, or, for an installed package, in a folder of the user's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VARIABLE = "AUDIOCRAFT_MODEL_REPOSITORY"
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDER = "model_repository"
_EXPORTED = ("model.pt", "manifest.json")


def is_installed(package: Path = _PACKAGE) -> bool:
    """Whether this package came as a wheel, which holds the models' folders, and not from a checkout."""
    return (package / _FOLDER).is_dir()


def packaged_repository(package: Path = _PACKAGE) -> Path:
    """The folder with the models' configurations and code: `model_repository` of the checkout or in the package."""
    return (package if is_installed(package) else package.parent) / _FOLDER


def default_repository(package: Path = _PACKAGE) -> Path:
    """The repository to export into and to serve where none is named.

    AUDIOCRAFT_MODEL_REPOSITORY, else `model_repository` of the checkout, else a folder in the user's data: nothing is
    ever written into an installed package. That folder need not exist, see `fill_repository`.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    return _users_repository() if is_installed(package) else packaged_repository(package)


MODEL_REPOSITORY = packaged_repository()
"""That of this package."""


def fill_repository(repository: Path, package: Path = _PACKAGE) -> None:
    """Copies the models' configurations and code to where they are needed; exported models stay as they are.

    A folder that holds no model becomes a whole repository. The one in the user's data is kept equal to the package, so
    that an upgrade reaches it. Every other repository is its owner's, and is left alone.
    """
    source = packaged_repository(package)
    is_new = not any(repository.glob("*/config.pbtxt"))
    if repository != source and (is_new or repository == _users_repository()):
        ignored = shutil.ignore_patterns(*_EXPORTED, "__pycache__")
        shutil.copytree(source, repository, ignore=ignored, dirs_exist_ok=True)


def _users_repository() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "audiocraft-triton" / _FOLDER
