"""audiocraft's own models, loaded by audiocraft's own loader."""

from __future__ import annotations

from pathlib import Path

import pytest
from audiocraft.models import AudioGen, MusicGen
from audiocraft.modules.conditioners import T5Conditioner


def load_upstream(family: type[MusicGen] | type[AudioGen], folder: Path, device: str = "cpu") -> MusicGen | AudioGen:
    """Upstream's loader, with nothing of ours but the registration of the text encoder's name, `t5`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(T5Conditioner, "MODELS", [*T5Conditioner.MODELS, "t5"])
        patch.setattr(T5Conditioner, "MODELS_DIMS", {**T5Conditioner.MODELS_DIMS, "t5": 32})
        return family.get_pretrained(str(folder), device=device)
