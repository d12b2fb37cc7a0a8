"""Environments outside the checkout: our wheels, what they ask for, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: of the environment.
        home: the user's folder, where its programs run.
    """

    folder: Path
    home: Path

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return self.folder / "lib" / PYTHON / "site-packages"

    @property
    def variables(self) -> dict[str, str]:
        """Of its processes: nothing in them points to the checkout."""
        kept = {name: os.environ[name] for name in ("LANG", "OMP_WAIT_POLICY", "TMPDIR") if name in os.environ}
        path = os.pathsep.join([str(self.folder / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        return {**kept, "PATH": path, "HOME": str(self.home), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one of its programs to the end."""
        return subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=self.home, env=self.variables, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def install(self, *arguments: str) -> None:
        """`pip install` with these arguments; what is installed elsewhere is not taken for its own."""
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.folder / "bin" / "python"]
        subprocess.run([*pip, "install", "--quiet", *arguments], cwd=self.home, env=variables, check=True)

    def link(self, requirements: Iterable[str], with_their_own: bool = True) -> None:
        """Links distributions of the environment that runs the tests, instead of installing their gigabyte again.

        Args:
            requirements: what to link, such as `audiocraft-triton[engine]`; what is installed already stays.
            with_their_own: what they require as well, and what that requires.

        Raises:
            AssertionError: one is not installed there.
        """
        asked = [Requirement(line) for line in requirements]
        for found in self._closure(asked) if with_their_own else map(self._find, (item.name for item in asked)):
            for entry in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                link = self.packages / entry
                if not link.exists():  # several distributions may share a folder, such as `google`
                    link.symlink_to(Path(str(found.locate_file(entry))))

    def _closure(self, requirements: list[Requirement]) -> list[Distribution]:
        found: dict[str, Distribution] = {}
        seen: set[tuple[str, str]] = set()
        pending = requirements
        while pending:
            requirement = pending.pop()
            distribution = self._find(requirement.name)
            found[canonicalize_name(requirement.name)] = distribution
            assert requirement.specifier.contains(distribution.version, prereleases=True), (
                f"{requirement} is asked for, {distribution.version} is installed"
            )
            for extra in {"", *requirement.extras}:
                if (canonicalize_name(requirement.name), extra) not in seen:
                    seen.add((canonicalize_name(requirement.name), extra))
                    pending += _needs(distribution, extra)
        return list(found.values())

    def _find(self, name: str) -> Distribution:
        """Its own, else that of the environment that runs the tests."""
        for distribution in distributions(name=name, path=[str(self.packages), *sys.path]):
            return distribution
        raise AssertionError(f"{name} is required, and not installed")


def make_environment(folder: Path, *wheels: Path) -> Environment:
    """An environment with wheels, without what they require."""
    made = Environment(folder / "environment", folder / "home")
    made.home.mkdir(parents=True)
    venv.create(made.folder, symlinks=True)
    made.install("--no-deps", "--no-index", *map(str, wheels))
    return made


def _needs(distribution: Distribution, extra: str) -> Iterator[Requirement]:
    for needed in map(Requirement, distribution.requires or ()):
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            yield needed


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
