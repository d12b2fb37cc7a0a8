"""audiocraft imports on a machine without av, spacy and librosa, and on a CPU-only torch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# Runs in its own interpreter, because imports can't be undone. Hides the packages if they are installed.
_SCRIPT = """
import json, sys

class Hiding:
    def __init__(self, finder): self._finder = finder
    def __getattr__(self, name): return getattr(self._finder, name)
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("av", "spacy", "librosa"):
            return None
        return self._finder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
import audiocraft_triton.checkpoints.upstream
facts = {"left": [name for name in ("av", "spacy", "librosa") if name in sys.modules]}

import torch, torchaudio
from audiocraft.data.audio import audio_read
from audiocraft.modules.chroma import ChromaExtractor
from audiocraft.modules.conditioners import WhiteSpaceTokenizer

uses = {"av": lambda: audio_read("clip.m4a"), "librosa": lambda: ChromaExtractor(sample_rate=32000),
        "spacy": lambda: WhiteSpaceTokenizer(n_bins=10)}
for package, use in uses.items():
    try:
        use()
    except ImportError as error:
        facts[package] = str(error)
    try:
        __import__(package)
    except ImportError as error:
        facts[f"import {package}"] = str(error)

sine = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)[None]
facts["loudest_bin"] = int(torchaudio.transforms.Spectrogram(n_fft=320)(sine)[0].mean(dim=1).argmax())
half = torchaudio.transforms.Resample(16000, 8000)(sine)
facts["resampled"] = half.shape[-1]
facts["resampled_loudest_bin"] = int(torch.fft.rfft(half[0]).abs().argmax())
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    result = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_stand_ins_are_gone_once_audiocraft_is_imported(facts: dict[str, Any]) -> None:
    assert facts["left"] == []


@pytest.mark.parametrize("package", ["av", "spacy", "librosa"])
def test_using_an_absent_package_names_it_and_how_to_install_it(facts: dict[str, Any], package: str) -> None:
    assert f"needs the package '{package}'" in facts[package]
    assert f"pip install {package}" in facts[package]


@pytest.mark.parametrize("package", ["av", "spacy", "librosa"])
def test_other_code_still_sees_the_package_as_absent(facts: dict[str, Any], package: str) -> None:
    assert facts[f"import {package}"] == f"No module named '{package}'"


def test_torchaudio_computes_spectrograms_and_resamples(facts: dict[str, Any]) -> None:
    assert facts["loudest_bin"] == 20  # 1,000 Hz at 50 Hz per bin
    assert facts["resampled"] == 8000
    assert facts["resampled_loudest_bin"] == 1000  # 1 s: 1 Hz per bin
