"""Gives the command that installs audiocraft, for all messages about it, because no package can require it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

_FILE = Path(__file__).with_name("audiocraft.txt")


class AudiocraftMissing(ImportError):
    """audiocraft, torchaudio or xformers is not installed; the message contains the command that installs them."""

    def __init__(self, absent: str) -> None:
        super().__init__(f"{absent} is not installed, and no package can require it; run: {install_command()}")


def requirements() -> tuple[Requirement, ...]:
    """Returns the pinned requirements audiocraft, torchaudio and xformers."""
    lines = (line.partition("#")[0].strip() for line in _FILE.read_text(encoding="utf-8").splitlines())
    return tuple(Requirement(line) for line in lines if line)


def install_command() -> str:
    """Returns the command that installs them without their own requirements, which can't be met."""
    return f"pip install --no-deps {' '.join(map(str, requirements()))}"


def check_installed() -> None:
    """Raises AudiocraftMissing if one of the three is absent; any version is accepted."""
    for requirement in requirements():
        try:
            version(requirement.name)
        except PackageNotFoundError:
            raise AudiocraftMissing(requirement.name) from None
