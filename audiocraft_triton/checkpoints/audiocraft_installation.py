"""How audiocraft is installed: no package can require it, so every message about it gives the same command."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

_FILE = Path(__file__).with_name("audiocraft.txt")


class AudiocraftMissing(ImportError):
    """audiocraft, torchaudio or xformers is not installed; the message has the command that installs them."""

    def __init__(self, absent: str) -> None:
        super().__init__(f"{absent} is not installed, and no package can require it; run: {install_command()}")


def requirements() -> tuple[Requirement, ...]:
    """audiocraft, torchaudio and xformers, each pinned."""
    lines = (line.partition("#")[0].strip() for line in _FILE.read_text(encoding="utf-8").splitlines())
    return tuple(Requirement(line) for line in lines if line)


def install_command() -> str:
    """The line that installs them; their own requirements can't be met, so it leaves those out."""
    return f"pip install --no-deps {' '.join(map(str, requirements()))}"


def check_installed() -> None:
    """Raises AudiocraftMissing where one of the three is absent; any version will do here."""
    for requirement in requirements():
        try:
            version(requirement.name)
        except PackageNotFoundError:
            raise AudiocraftMissing(requirement.name) from None
