"""tritonserver as a child process: it does not outlive its parent, and leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CRASHES = {-signal.SIGABRT, -signal.SIGBUS, -signal.SIGSEGV}
_SHARED_MEMORY = Path("/dev/shm")


def die_with_parent() -> None:
    """In the child, before it becomes another program: be told to end when the thread that started us dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group(group: int) -> None:
    """Kills what is left of a process group; nothing, where all of it has ended."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class CrashedWhileLoading(RuntimeError):
    """tritonserver died of itself while it loaded its models."""


def crashed(status: int) -> bool:
    """Whether a program that ended with this status fell over by itself: nobody stopped it, and it refused nothing."""
    return status in _CRASHES


def with_second_start(start: Callable[[], None], announce: Callable[[str], None]) -> None:
    """Calls `start`, and once more if the server crashes while it loads its models.

    On a machine that is short of processor time 24.10 now and then dies while it loads, of a lock in shared memory
    (`boost::interprocess::lock_exception`).

    Args:
        start: starts the server and returns when it is ready.
        announce: told what happened before the second start.

    Raises:
        CrashedWhileLoading: the second start ended like the first. Other errors of `start` pass as they are.
    """
    try:
        start()
    except CrashedWhileLoading:
        announce("tritonserver crashed before it was ready: it is started once more")
        start()


def remove_shared_memory(prefix: str) -> None:
    """Removes what processes that were killed left in /dev/shm under names with this prefix."""
    for leftover in _SHARED_MEMORY.glob(f"{prefix}*"):
        leftover.unlink(missing_ok=True)
