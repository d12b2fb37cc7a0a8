"""Child processes: they do not outlive their parent, and end with all they started."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """In the child, before it becomes another program: be told to end when the thread that started us dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group(group: int) -> None:
    """Kills what is left of a process group; nothing, where all of it has ended."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
