"""Fixtures of the engine's tests: engines with the seeded checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiocraft_triton.engine.engine import Engine


@pytest.fixture(scope="session")
def music_engine(demo_checkpoints: Path) -> Iterator[Engine]:
    """A shared engine with `demo`; tests must not reconfigure it."""
    assert (demo_checkpoints / "music").is_dir()
    engine = Engine("demo", device="cpu")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def sound_engine(demo_checkpoints: Path) -> Iterator[Engine]:
    """A shared engine with `demo-sound`; tests must not reconfigure it."""
    assert (demo_checkpoints / "sound").is_dir()
    engine = Engine("demo-sound", device="cpu")
    yield engine
    engine.close()
