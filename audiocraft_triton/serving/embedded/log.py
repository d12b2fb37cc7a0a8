"""Makes Triton's log readable: time, level and message, without the noise of a machine that has no GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass

# I1122 15:01:02.345678 1234 server.cc:674] "message"
_LINE = re.compile(r'^([IWEF])\d{4} (\d\d:\d\d:\d\d)\.\d+ \d+ (\S+?):\d+\] ?"?(.*?)"?$')
_LEVELS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "FATAL"}
# Harmless messages, at every level, that Triton logs if there is no NVIDIA driver.
_NO_GPU = re.compile(
    r"NVML|DCGM|CUDA driver|cuInit|cudaGetDevice|unable to (create|get) (stream|number of CUDA)|"
    r"GPU metrics|pinned|CudaDriverHelper|cuda_memory|CUDA memory pool",
    re.IGNORECASE,
)
# Tables, and the traces that follow an error message.
_CLUTTER = re.compile(r"^\s*[+|]|^At:$|^  (?:\S+|<frozen \S+>)\(\d+\): ")
_TRACE = re.compile(r"(\\n)+At:.*$")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line worth showing."""

    level: str
    text: str


class LogReader:
    """Turns raw lines into LogLines, and drops those that are not worth showing.

    Args:
        has_gpu: keep messages about GPUs.
        verbose: keep all messages.
    """

    def __init__(self, has_gpu: bool, verbose: bool = False) -> None:
        self._has_gpu = has_gpu
        self._verbose = verbose

    def read(self, raw: str) -> LogLine | None:
        """Returns the line to show for a raw line, or None."""
        raw = raw.rstrip()
        match = _LINE.match(raw)
        if match is None:
            return LogLine("INFO", raw) if raw and (self._verbose or not self._is_clutter(raw)) else None
        letter, time, source, message = match.groups()
        level = _LEVELS[letter]
        if not self._verbose:
            message = _TRACE.sub("", message)
            if not message or message.startswith("ERROR: Failed to create instance"):
                return None  # "failed to load" repeats it with the model's name
            if self._is_gpu_noise(message):
                return None
            if level == "INFO" and not _is_news(source, message):
                return None
        return LogLine(level, f"{time} {level:<7} {message}")

    def _is_clutter(self, raw: str) -> bool:
        return bool(_CLUTTER.match(raw)) or self._is_gpu_noise(raw)

    def _is_gpu_noise(self, message: str) -> bool:
        # The reason why a model did not load is never noise, whatever words it contains.
        return not self._has_gpu and not message.startswith("failed to load") and bool(_NO_GPU.search(message))


def _is_news(source: str, message: str) -> bool:
    """Tells whether an operator wants an INFO line: those about loaded models and ports."""
    return message.startswith(("successfully loaded", "Started ")) or source == "model.py"
