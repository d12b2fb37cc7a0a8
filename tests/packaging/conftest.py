"""Both wheels, built once from a copy of the sources, and environments that they are installed in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from wheel_environments import PROJECT, Environment, make_environment


@dataclass(frozen=True, slots=True)
class Wheels:
    """What was built.

    Attributes:
        package: `audiocraft-triton`.
        client: `audiocraft-client`.
        source: the source distribution of the first.
    """

    package: Path
    client: Path
    source: Path


def build(target: str, project: Path, out: Path) -> Path:
    """Builds a `wheel` or an `sdist` with the build backend of this environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)
    [built] = out.iterdir()
    return built


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Built from a checkout in which a model was exported."""
    checkout = tmp_path_factory.mktemp("built") / "checkout"
    ignored = shutil.ignore_patterns("model.pt", "manifest.json")
    for folder in ("audiocraft_triton", "model_repository", "client", "training"):
        shutil.copytree(PROJECT / folder, checkout / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, checkout)
    for name in ("model.pt", "manifest.json"):
        (checkout / "model_repository" / "mpd" / "1" / name).write_text("exported from a checkpoint of someone's own")
    return Wheels(
        build("wheel", checkout, checkout / "out" / "package"),
        build("wheel", checkout / "client", checkout / "out" / "client"),
        build("sdist", checkout, checkout / "out" / "source"),
    )


@pytest.fixture(scope="session")
def base(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the package and none of its extras."""
    made = make_environment(tmp_path_factory.mktemp("base"), wheels.package)
    made.link(["audiocraft-triton"])
    return made
