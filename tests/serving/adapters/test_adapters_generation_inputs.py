"""Reading a generation request's inputs, before any of them is passed on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from conftest import FakeTriton


@pytest.mark.parametrize("name", ["continuation", "melody"])
def test_an_audio_file_over_the_limit_is_refused_on_arrival(triton: FakeTriton, name: str) -> None:
    from audiocraft_triton.serving.adapters.generation_inputs import read_values

    sent = {"text": b"calm piano", name: bytes(MAX_FILE_BYTES + 1)}

    def tensor(_request: object, asked: str) -> SimpleNamespace | None:
        return SimpleNamespace(as_numpy=lambda: np.array([sent[asked]], np.object_)) if asked in sent else None

    triton.get_input_tensor_by_name = tensor  # type: ignore[attr-defined]
    with pytest.raises(InvalidRequest, match=f"{name}='67,108,865 bytes': is over the limit of 67,108,864 bytes"):
        read_values(SimpleNamespace())
