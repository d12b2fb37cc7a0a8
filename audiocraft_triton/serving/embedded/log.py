"""Triton's log, made readable: time, level and message, without the noise of a machine that has no GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass

# I1122 15:01:02.345678 1234 server.cc:674] "message"
_LINE = re.compile(r'^([IWEF])\d{4} (\d\d:\d\d:\d\d)\.\d+ \d+ (\S+?):\d+\] ?"?(.*?)"?$')
_LEVELS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "FATAL"}
# What Triton says, at every level, where there is no NVIDIA driver; none of it does harm.
_NO_GPU = re.compile(
    r"NVML|DCGM|CUDA driver|cuInit|cudaGetDevice|unable to (create|get) (stream|number of CUDA)|"
    r"GPU metrics|pinned|CudaDriverHelper|cuda_memory|CUDA memory pool",
    re.IGNORECASE,
)
# Tables, and the traces that follow a failure's message.
_CLUTTER = re.compile(r"^\s*[+|]|^At:$|^  (?:\S+|<frozen \S+>)\(\d+\): ")
_TRACE = re.compile(r"(\\n)+At:.*$")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line worth showing."""

    level: str
    text: str


class LogReader:
    """Turns raw lines into LogLines; keeps what is not worth showing out.

    Args:
        has_gpu: keep messages about GPUs.
        verbose: keep everything.
    """

    def __init__(self, has_gpu: bool, verbose: bool = False) -> None:
        self._has_gpu = has_gpu
        self._verbose = verbose

    def read(self, raw: str) -> LogLine | None:
        """The line to show for a raw one, or None."""
        raw = raw.rstrip()
        match = _LINE.match(raw)
        if match is None:
            return LogLine("INFO", raw) if raw and (self._verbose or not self._is_clutter(raw)) else None
        letter, time, source, message = match.groups()
        level = _LEVELS[letter]
        if not self._verbose:
            message = _TRACE.sub("", message)
            if not message or message.startswith("ERROR: Failed to create instance"):
                return None  # said again, with the model's name, by "failed to load"
            if self._is_gpu_noise(message):
                return None
            if level == "INFO" and not _is_news(source, message):
                return None
        return LogLine(level, f"{time} {level:<7} {message}")

    def _is_clutter(self, raw: str) -> bool:
        return bool(_CLUTTER.match(raw)) or self._is_gpu_noise(raw)

    def _is_gpu_noise(self, message: str) -> bool:
        # Why a model did not load is never noise, whatever words it has.
        return not self._has_gpu and not message.startswith("failed to load") and bool(_NO_GPU.search(message))


def _is_news(source: str, message: str) -> bool:
    """INFO lines an operator wants: models that are there, ports."""
    return message.startswith(("successfully loaded", "Started ")) or source == "model.py"
