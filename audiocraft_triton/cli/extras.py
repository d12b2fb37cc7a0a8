"""The requirements of this distribution's extras, and those that are not met."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

DISTRIBUTION = "audiocraft-triton"
EXTRAS = ("engine", "serve", "gateway", "train")
_SHOWN = 4
_SERVER = "nvidia-pytriton"


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that is not met.

    Attributes:
        requirement: the declared requirement.
        found: the installed version; None if the package is not installed.
    """

    requirement: Requirement
    found: str | None

    def __str__(self) -> str:
        wanted = f"{self.requirement.name}{self.requirement.specifier}"
        return f"{wanted} (found {self.found})" if self.found else wanted


def requirements(extra: str) -> tuple[Requirement, ...]:
    """Returns the requirements of an extra and of the extras that it includes, from the installed metadata.

    They are empty where this package runs without being installed, as in the gateway's image, and has no metadata.
    """
    try:
        declared = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return ()
    return tuple(_of(extra, declared))


def unmet(extra: str) -> tuple[Unmet, ...]:
    """Returns the requirements of an extra that no installed package meets.

    If TRITON_ROOT is set, the embedded server is elsewhere and its package is not needed.
    """
    found = []
    for requirement in requirements(extra):
        if requirement.name == _SERVER and os.environ.get("TRITON_ROOT"):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            found.append(Unmet(requirement, None))
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append(Unmet(requirement, installed))
    return tuple(found)


def summary(lacking: Iterable[Unmet]) -> str:
    """Names the first few unmet requirements."""
    names = list(dict.fromkeys(map(str, lacking)))
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more packages"


def install_command(*extras: str) -> str:
    """Returns the command that installs extras."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def _of(extra: str, declared: list[Requirement]) -> Iterator[Requirement]:
    for requirement in declared:
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == DISTRIBUTION:
            for included in sorted(requirement.extras):
                yield from _of(included, declared)
        else:
            yield requirement
