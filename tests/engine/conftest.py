"""What the engine's tests share: engines on the seeded checkpoints, and upstream's own models on the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from upstream_models import load_upstream

from engine.engine import Engine

from audiocraft.models import AudioGen, MusicGen  # isort: skip


@pytest.fixture(scope="session")
def music_engine(demo_checkpoints: Path) -> Iterator[Engine]:
    """An engine on `demo` that nobody may reconfigure."""
    assert (demo_checkpoints / "music").is_dir()
    engine = Engine("demo", device="cpu")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def sound_engine(demo_checkpoints: Path) -> Iterator[Engine]:
    """An engine on `demo-sound` that nobody may reconfigure."""
    assert (demo_checkpoints / "sound").is_dir()
    engine = Engine("demo-sound", device="cpu")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def upstream_music(demo_checkpoints: Path) -> MusicGen:
    """What audiocraft itself makes of the music checkpoint."""
    return load_upstream(MusicGen, demo_checkpoints / "music")


@pytest.fixture(scope="session")
def upstream_sound(demo_checkpoints: Path) -> AudioGen:
    """What audiocraft itself makes of the sound checkpoint."""
    return load_upstream(AudioGen, demo_checkpoints / "sound")
