"""Runs tritonserver as a child process that does not outlive its parent and leaves nothing behind."""

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
    """Makes the kernel tell the child to end when the thread that started it dies; runs in the child, before exec."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group(group: int) -> None:
    """Kills what is left of a process group; does nothing if all of it has ended."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class CrashedWhileLoading(RuntimeError):
    """tritonserver crashed while it loaded its models."""


def crashed(status: int) -> bool:
    """Tells whether an exit status means a crash, and not that the program was stopped or refused its options."""
    return status in _CRASHES


def with_second_start(start: Callable[[], None], announce: Callable[[str], None]) -> None:
    """Calls `start`, and once more if the server crashes while it loads its models.

    On a machine that is short of processor time, 24.10 occasionally dies while it loads, because of a lock in shared
    memory (`boost::interprocess::lock_exception`).

    Args:
        start: starts the server and returns when it is ready.
        announce: called with a message before the second start.

    Raises:
        CrashedWhileLoading: the second start crashed, too. Other errors of `start` pass unchanged.
    """
    try:
        start()
    except CrashedWhileLoading:
        announce("tritonserver crashed before it was ready: it is started once more")
        start()


def remove_shared_memory(prefix: str) -> None:
    """Removes the files with this prefix that killed processes left in /dev/shm."""
    for leftover in _SHARED_MEMORY.glob(f"{prefix}*"):
        leftover.unlink(missing_ok=True)
