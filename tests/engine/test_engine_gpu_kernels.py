"""The GPU's kernels equal plain torch; the Triton language's interpreter runs them here on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("compare_gpu_kernels.py")


@pytest.fixture(scope="module")
def differences() -> dict[str, float]:
    """Largest differences by case, from a separate process: the interpreter is chosen before the first import."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("case", ["append", "append: keys", "append: values", "attend", "norm", "norm: residual"])
@pytest.mark.parametrize("width", [16, 24, 64])
def test_a_kernel_equals_plain_torch(differences: dict[str, float], case: str, width: int) -> None:
    assert differences[f"{case} {width}"] < 1e-5


def test_a_row_has_the_same_bits_whatever_the_other_rows_are(differences: dict[str, float]) -> None:
    assert differences["alone"] == 0.0


def test_an_idle_row_gives_zeros(differences: dict[str, float]) -> None:
    assert differences["idle"] == 0.0
