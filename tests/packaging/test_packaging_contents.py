"""What is in the distributions, what they are called, and that their version stands once."""

from __future__ import annotations

import email.message
import re
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import audiocraft_client
import yaml
from packaging.requirements import Requirement
from wheel_environments import PROJECT, build

import audiocraft_triton
from audiocraft_triton.checkpoints import audiocraft_installation

if TYPE_CHECKING:
    from wheel_environments import Wheels


def names(wheel: Path) -> set[str]:
    """Its files."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        [path] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(path).decode())


def test_each_wheel_holds_one_package(wheels: Wheels) -> None:
    for wheel, package in ((wheels.package, "audiocraft_triton"), (wheels.client, "audiocraft_client")):
        top = {name.partition("/")[0] for name in names(wheel)}
        assert {name for name in top if not name.endswith(".dist-info")} == {package}
        assert f"{package}/py.typed" in names(wheel)


def test_the_wheel_holds_what_the_code_reads(wheels: Wheels) -> None:
    held = names(wheels.package)
    for folder in ("gateway/static", "serving/backends", "checkpoints/demo"):
        here = PROJECT / "audiocraft_triton" / folder
        files = {path.relative_to(PROJECT).as_posix() for path in here.rglob("*")
                 if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
        assert files
        assert files <= held
    assert "audiocraft_triton/checkpoints/audiocraft.txt" in held


def test_the_wheel_holds_the_models_and_nothing_that_was_exported_into_the_checkout(wheels: Wheels) -> None:
    prefix = "audiocraft_triton/model_repository/"
    held = {name.removeprefix(prefix) for name in names(wheels.package) if name.startswith(prefix)}
    models = {path.parent.name for path in (PROJECT / "model_repository").glob("*/config.pbtxt")}
    assert {name.partition("/")[0] for name in held} == models
    for model in models:
        assert f"{model}/config.pbtxt" in held
        assert any(name.startswith(f"{model}/1/") for name in held), "Triton asks for the folder of a version"
    assert {Path(name).name for name in held} == {"config.pbtxt", "model.py", ".gitkeep"}


def test_the_source_distribution_builds_the_same_wheel(wheels: Wheels, tmp_path: Path) -> None:
    with tarfile.open(wheels.source) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    [unpacked] = (tmp_path / "source").iterdir()
    assert names(build("wheel", unpacked, tmp_path / "out")) == names(wheels.package)


def test_one_version_stands_everywhere(wheels: Wheels) -> None:
    version = audiocraft_triton.__version__
    assert audiocraft_client.__version__ == version
    assert metadata(wheels.package)["Version"] == version
    assert metadata(wheels.client)["Version"] == version
    chart = yaml.safe_load((PROJECT / "deploy" / "helm" / "audiocraft-triton" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_documentation_has_the_command_that_installs_audiocraft() -> None:
    assert audiocraft_installation.install_command() in (PROJECT / "docs" / "install.md").read_text()


def test_the_package_takes_the_client_of_its_own_version(wheels: Wheels) -> None:
    asked = [Requirement(line) for line in metadata(wheels.package).get_all("Requires-Dist", [])]
    clients = [item for item in asked if item.name == "audiocraft-client"]
    assert len(clients) == 2, "serve and gateway talk through it"
    for client in clients:
        assert client.specifier.contains(audiocraft_client.__version__)


def test_tested_versions_are_allowed_ones(wheels: Wheels) -> None:
    constraints = (PROJECT / "requirements" / "constraints.txt").read_text()
    lines = [line.partition("#")[0].strip() for line in constraints.splitlines()]
    pinned = [Requirement(line) for line in lines if line]
    asked = [Requirement(line) for wheel in (wheels.package, wheels.client)
             for line in metadata(wheel).get_all("Requires-Dist", [])]  # fmt: skip
    for pin in pinned:
        wanted = [item for item in asked if item.name == pin.name]
        assert wanted, f"nothing asks for {pin.name}"
        for version in re.findall(r"==(\S+)", str(pin.specifier)):
            assert all(item.specifier.contains(version) for item in wanted), pin
