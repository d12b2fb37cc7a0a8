"""The hardware and software behind the figures, without which they mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

_PROJECT = Path(__file__).resolve().parent.parent
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine.

    Attributes:
        cpu: the processor's model.
        cores: number of cores that this process may use.
        gpu: the GPU's name; None for a CPU run.
        gpu_memory_gib: memory of that GPU.
    """

    cpu: str
    cores: int
    gpu: str | None
    gpu_memory_gib: float | None

    def __str__(self) -> str:
        if self.gpu is not None:
            return f"{self.gpu}, {self.gpu_memory_gib:.0f} GiB"
        return f"{self.cpu}, {self.cores} cores"


def hardware(device: torch.device) -> Hardware:
    """Describes the machine, with its GPU if that is the measured device."""
    gpu = memory = None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        gpu, memory = properties.name, round(properties.total_memory / 2**30, 1)
    return Hardware(_cpu_model(), len(os.sched_getaffinity(0)), gpu, memory)


def versions() -> dict[str, str | None]:
    """Returns the versions of the software that all contenders use. `commit` is None outside a git checkout."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "commit": _commit(),
    }


def _cpu_model() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Returns the commit's hash, with "+changes" if the working tree differs from it."""
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(_PROJECT), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changes else commit
