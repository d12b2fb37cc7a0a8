"""Finds the tritonserver inside its Python wheel and lays out the backend directory that it starts with."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from audiocraft_triton import mkl

_OWN_BACKENDS = Path(__file__).resolve().parents[1] / "backends"
_LIBRARIES = "lib"
_STUB = "triton_python_backend_stub"
WHEEL = "nvidia-pytriton"


class ServerNotInstalled(RuntimeError):
    """There is no embedded server for this Python or platform; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A tritonserver on this machine.

    Attributes:
        executable: the server.
        backends: folder of the backends that come with it.
        stub: the Python backend's stub for the running interpreter; None if the backend already has it.
        libraries: folders for the LD_LIBRARY_PATH of the server only; in this process they would break CUDA torch.
    """

    executable: Path
    backends: Path
    stub: Path | None
    libraries: tuple[Path, ...]


def find_installation() -> Installation:
    """Finds the server: under TRITON_ROOT (the folder of a wheel or of NVIDIA's image) if set, else in the wheel.

    Raises:
        ServerNotInstalled: there is no server, or none for this Python.
    """
    root, libraries = _locate()
    executable = root / "bin" / "tritonserver"
    if not os.access(executable, os.X_OK):
        executable.chmod(executable.stat().st_mode | 0o111)
    return Installation(executable, root / "backends", _find_stub(root), libraries)


def build_backend_directory(installation: Installation, directory: Path) -> None:
    """Fills `directory` with the Python backend, its libpython and, if libtorch is absent, this project's stand-in."""
    directory.mkdir(exist_ok=True)
    if installation.stub is None:
        for backend in installation.backends.iterdir():
            (directory / backend.name).symlink_to(backend)
    else:
        shutil.copytree(installation.backends, directory, dirs_exist_ok=True)
        stub = directory / "python" / _STUB
        shutil.copyfile(installation.stub, stub)
        stub.chmod(0o755)
    if not (directory / "pytorch").exists():
        shutil.copytree(_OWN_BACKENDS / "pytorch", directory / "pytorch")

    _link_libpython(directory / _LIBRARIES)


def server_environment(installation: Installation, backend_directory: Path) -> dict[str, str]:
    """Returns the environment in which to start the server.

    The Python stub finds its packages through the first interpreter on PATH, and needs that interpreter's libpython.
    """
    libraries: list[str | Path] = [*installation.libraries, backend_directory / _LIBRARIES]
    environment = dict(os.environ)
    if installation.stub is None and (given := environment.get("LD_LIBRARY_PATH")):
        libraries.append(given)  # NVIDIA's image finds CUDA through it
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, libraries))
    # A dozen torch processes share the cores: threads that spin while they wait for each other make all of them many
    # times slower.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Not every model's process imports the package before torch multiplies.
    environment.setdefault(mkl.VARIABLE, mkl.VALUE)
    return environment


def _find_stub(root: Path) -> Path | None:
    if (root / "backends" / "python" / _STUB).is_file():
        return None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = root / "python_backend_stubs" / version / _STUB
    if not stub.is_file():
        known = sorted(folder.name for folder in (root / "python_backend_stubs").glob("*"))
        raise ServerNotInstalled(f"the embedded server has no stub for Python {version}; it has {', '.join(known)}")
    return stub


def _link_libpython(directory: Path) -> None:
    """Links the interpreter's shared library into a separate folder.

    The library may lie in a system folder, which on LD_LIBRARY_PATH would shadow libraries that torch bundles.
    """
    directory.mkdir()
    folder, name = sysconfig.get_config_vars("LIBDIR", "INSTSONAME")
    if folder and name and (library := Path(folder) / name).is_file():
        (directory / name).symlink_to(library)


def _locate() -> tuple[Path, tuple[Path, ...]]:
    if given := os.environ.get("TRITON_ROOT"):
        root = Path(given)
        site = root.parent.parent
    else:
        wheel = importlib.util.find_spec("pytriton")
        if wheel is None or wheel.origin is None:
            raise ServerNotInstalled(
                f"the embedded server is not installed (package {WHEEL}, Linux x86-64 only): pip install {WHEEL}==0.7.0"
            )
        root = Path(wheel.origin).parent / "tritonserver"
        site = root.parent.parent
    if not (root / "bin" / "tritonserver").is_file():
        raise ServerNotInstalled(f"no tritonserver below {root}")
    return root, (site / "nvidia_pytriton.libs",)
