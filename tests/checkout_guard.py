"""Tests write into their own temporary folders: a run that changes a file of the checkout fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CACHES = frozenset({".git", ".venv", ".venv-docs", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"})
"""Folders, at any depth, in which tools keep what they need."""
State = dict[str, tuple[int, int]]


class CheckoutGuard:
    """A pytest plugin that compares the files below a folder before and after a run: what is there, size, time.

    Args:
        root: the checkout.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._before = _state(root)
        self._changed: list[str] = []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compares, and makes the run fail."""
        after = _state(self._root)
        self._changed = sorted({path for path, _ in self._before.items() ^ after.items()})
        if self._changed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Names the files."""
        if self._changed:
            terminalreporter.section("FILES OF THE CHECKOUT CHANGED DURING THE RUN", red=True)
            terminalreporter.line(
                "Tests must write into tmp_path. Unless you edited these files yourself, one did not:"
            )
            for path in self._changed:
                terminalreporter.line(path)


def _state(root: Path) -> State:
    """Size and time of change of each file, by its path below `root`."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in CACHES]
        for name in files:
            path = Path(folder, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # another program removed it meanwhile
            found[str(path.relative_to(root))] = (status.st_size, status.st_mtime_ns)
    return found
