"""What the engine's tests share: engines on the seeded checkpoints, and upstream's own models on the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.engine import Engine

from audiocraft.models import AudioGen, MusicGen  # isort: skip
from audiocraft.modules.conditioners import T5Conditioner  # isort: skip


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
    return _load_upstream(MusicGen, demo_checkpoints / "music")


@pytest.fixture(scope="session")
def upstream_sound(demo_checkpoints: Path) -> AudioGen:
    """What audiocraft itself makes of the sound checkpoint."""
    return _load_upstream(AudioGen, demo_checkpoints / "sound")


def _load_upstream(family: type[MusicGen] | type[AudioGen], folder: Path) -> MusicGen | AudioGen:
    """Upstream's loader, with nothing of ours but the registration of the text encoder's name, `t5`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(T5Conditioner, "MODELS", [*T5Conditioner.MODELS, "t5"])
        patch.setattr(T5Conditioner, "MODELS_DIMS", {**T5Conditioner.MODELS_DIMS, "t5": 32})
        return family.get_pretrained(str(folder), device="cpu")
