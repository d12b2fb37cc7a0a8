"""Both wheels, built once from a copy of the sources, and environments that they are installed in."""

from __future__ import annotations

import shutil

import pytest
from wheel_environments import PROJECT, Environment, Wheels, build, make_environment


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
