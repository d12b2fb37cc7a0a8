"""The end of a model's process: at once, instead of after the interpreter has freed everything one by one."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

_STUB = "triton_python_backend_stub"


def skip_teardown() -> None:
    """Has this process end as soon as its model is finalized, where it is one of Triton's Python backend.

    tritonserver waits for the processes of its models, four at a time, within its exit timeout; and to free an
    interpreter with torch in it takes a second of processor time, which the operating system does at once. On two busy
    cores that was half of the timeout.
    """
    if Path("/proc/self/exe").resolve().name == _STUB:
        atexit.register(_leave)


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
