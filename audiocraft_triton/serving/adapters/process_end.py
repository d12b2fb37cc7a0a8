"""Ends a model's process at once, without the interpreter's teardown."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

_STUB = "triton_python_backend_stub"


def skip_teardown() -> None:
    """Makes a process of Triton's Python backend end as soon as its model is finalized.

    tritonserver waits for the processes of its models, four at a time, within its exit timeout. Freeing an interpreter
    that has loaded torch takes a second of processor time; the operating system frees the process at once. On two busy
    cores the teardown took half of the timeout.
    """
    if Path("/proc/self/exe").resolve().name == _STUB:
        atexit.register(_leave)


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
