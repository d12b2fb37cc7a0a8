"""The Dockerfile, read: what can be checked without building it. `make test-images` builds and runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from audiocraft_triton.checkpoints import audiocraft_installation
from audiocraft_triton.cli.extras import requirements

PROJECT = Path(__file__).resolve().parents[2]
FLOOR = (26, 7)
STAGE = re.compile(r"^FROM (?P<base>\S+) AS (?P<name>\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> its instructions as (word, rest), line continuations joined."""
    text = re.sub(r"^#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {"": []}
    name = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.rpartition(" AS ")[2]
            found[name] = []
        found[name].append((word, rest.strip()))
    return found


def test_triton_is_newer_than_its_known_holes(stages: dict[str, list[tuple[str, str]]]) -> None:
    tags = [rest for word, rest in stages[""] if word == "ARG" and rest.startswith("TRITON_TAG=")]
    assert len(tags) == 1, "one build argument decides"
    year, month = map(int, re.fullmatch(r"TRITON_TAG=(\d+)\.(\d+)-py3", tags[0]).groups())
    assert (year, month) >= FLOOR
    for name in ("triton-build", "triton"):
        assert stages[name][0][1].startswith("nvcr.io/nvidia/tritonserver:${TRITON_TAG} ")


@pytest.mark.parametrize(
    ("target", "started"),
    [
        ("triton", '"python3", "-m", "audiocraft_triton.serving.container"'),
        ("gateway", '"audiocraft-triton", "gateway"'),
    ],
)
def test_an_image_is_unprivileged_watched_and_complete(
    stages: dict[str, list[tuple[str, str]]], target: str, started: str
) -> None:
    steps = stages[target]
    words = [word for word, _ in steps]
    assert ("USER", "1000:1000") in steps
    assert "RUN" not in words[words.index("USER") :]
    assert "HEALTHCHECK" in words
    assert ("STOPSIGNAL", "SIGTERM") in steps
    [entry] = [rest for word, rest in steps if word == "ENTRYPOINT"]
    assert entry == f"[{started}]"
    assert any("org.opencontainers.image.title" in rest for word, rest in steps if word == "LABEL")
    # Nothing is installed from a registry or built in the image that runs; start needs neither network nor compiler.
    assert not any("pip install" in rest or "export" in rest for word, rest in steps if word == "RUN")
    for word, rest in steps:
        assert not (word in ("FROM", "COPY") and ":latest" in rest)


def test_a_build_needs_no_frontend_from_a_registry() -> None:
    first = (PROJECT / "Dockerfile").read_text().splitlines()[0]
    assert not first.startswith("# syntax="), "BuildKit would fetch it, also where every base image is there"


def test_a_new_volume_belongs_to_the_images_user(stages: dict[str, list[tuple[str, str]]]) -> None:
    steps = stages["triton"]
    made = [index for index, (word, rest) in enumerate(steps) if word == "RUN" and rest.endswith("/models")]
    assert len(made) == 1
    assert "--owner=1000 --group=1000" in steps[made[0]][1]
    assert made[0] < steps.index(("VOLUME", "/models")), "what changes a folder after VOLUME is dropped"


def test_what_is_copied_exists_and_travels(stages: dict[str, list[tuple[str, str]]]) -> None:
    rules = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    travels = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = set()
    for steps in stages.values():
        for word, rest in steps:
            if word == "COPY" and not rest.startswith("--from"):
                copied |= set(rest.split()[:-1])
    assert rules[0] == "*", "what is not named stays here"
    for source in copied:
        assert (PROJECT / source).exists(), source
        assert source.split("/")[0] in travels, source
    assert travels == {source.split("/")[0] for source in copied}


def test_the_client_and_what_the_demo_draws_with_are_in_the_triton_image(
    stages: dict[str, list[tuple[str, str]]],
) -> None:
    installed = " ".join(rest for word, rest in stages["triton-build"] if word == "RUN")
    assert "'.[engine]' ./client matplotlib" in installed
    assert "AUDIOCRAFT_MODEL_REPOSITORY" in "".join(rest for word, rest in stages["triton"] if word == "ENV")
    assert "TRITON_ROOT=/opt/tritonserver" in "".join(rest for word, rest in stages["triton"] if word == "ENV")


def test_the_image_needs_nothing_that_it_lacks() -> None:
    """It has the extra `engine`, the client and matplotlib; what else is installed here is made unimportable."""
    code = """
import sys
for absent in ("pytriton", "tensorboard", "mido", "fastapi", "fluidsynth", "pytest"):
    sys.modules[absent] = None
import audiocraft_triton.serving.container, audiocraft_triton.cli.commands.export, audiocraft_triton.cli.commands.fetch
import audiocraft_triton.cli.commands.demo
import audiocraft_triton.engine.engine, audiocraft_triton.torchscript.models, audiocraft_triton.checkpoints.convert
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_the_gateways_image_needs_no_package_but_its_own() -> None:
    code = """
import sys
for absent in ("audio", "checkpoints", "engine", "scoring", "torchscript", "serving"):
    sys.modules[f"audiocraft_triton.{absent}"] = None
for absent in ("torch", "training"):
    sys.modules[absent] = None
import audiocraft_triton.cli.commands.gateway
from audiocraft_triton.gateway.app import create_app
from audiocraft_triton.gateway.settings import Settings
create_app(Settings())
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_requirements_are_pinned() -> None:
    """Each package that an image asks for has its tested version."""
    lines = (PROJECT / "requirements" / "constraints.txt").read_text().splitlines()
    pinned = {Requirement(line.partition("#")[0]).name for line in lines if "==" in line.partition("#")[0]}
    for extra in ("engine", "gateway"):
        asked = {requirement.name for requirement in requirements(extra)} - {"audiocraft-client"}
        assert asked <= pinned, f"{extra}: {asked - pinned}"
    assert all("==" in str(requirement) for requirement in audiocraft_installation.requirements())
