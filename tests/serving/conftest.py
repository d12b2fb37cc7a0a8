"""Model repositories that load quickly, for tests of a server's start and end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audiocraft_triton.serving.repository import MODEL_REPOSITORY


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with only the model `musicgen`, which holds no weights."""
    folder = tmp_path_factory.mktemp("one-model") / "model_repository"
    shutil.copytree(MODEL_REPOSITORY / "musicgen", folder / "musicgen", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def crashing(repository: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Makes a repository whose model crashes the whole server in a given number of first starts.

    The file `starts` next to it gets one character per start.
    """

    def crashing(starts: int) -> Path:
        model = tmp_path / "repository" / "musicgen"
        shutil.copytree(repository / "musicgen", model)
        (model / "1" / "model.py").write_text(
            "import os, pathlib, signal\n"
            "class TritonPythonModel:\n"
            "    def initialize(self, args):\n"
            f"        count = pathlib.Path({str(tmp_path / 'starts')!r})\n"
            "        with count.open('a') as file: file.write('.')\n"
            f"        if count.stat().st_size <= {starts}: os.kill(os.getppid(), signal.SIGABRT)\n"
            "    def execute(self, requests):\n"
            "        return []\n"
        )
        return model.parent

    return crashing
