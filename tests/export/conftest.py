"""What the export's tests share: the demo's export, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.checkpoints import demo_directory
from export.models import export_models
from export.torchscript.manifest import Manifest


@pytest.fixture(scope="session")
def exported(demo_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Manifest]]:
    """A model repository with the export of `demo`, not to be changed, and its manifests."""
    assert demo_directory() == demo_checkpoints
    repository = tmp_path_factory.mktemp("repository")
    return repository, export_models("demo", repository, report=lambda _line: None)
