"""Finding the embedded server, its backend directory and its environment."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from audiocraft_triton.serving.embedded.installation import (
    Installation,
    ServerNotInstalled,
    build_backend_directory,
    find_installation,
    server_environment,
)

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def make_server(root: Path, stub_version: str = PYTHON) -> Path:
    """Makes a folder with the layout of the wheel's tritonserver and empty files."""
    stub = root / "python_backend_stubs" / stub_version / "triton_python_backend_stub"
    for path in (root / "bin" / "tritonserver", root / "backends" / "python" / "libtriton_python.so", stub):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    return root


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    root = make_server(tmp_path / "site-packages" / "pytriton" / "tritonserver")
    monkeypatch.setenv("TRITON_ROOT", str(root))
    return find_installation()


def test_the_installed_wheel_is_found_complete_and_executable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_ROOT", raising=False)
    found = find_installation()
    assert os.access(found.executable, os.X_OK)
    assert (found.backends / "python" / "libtriton_python.so").is_file()
    assert found.stub.is_file()
    assert found.stub.parent.name == PYTHON
    assert [folder.is_dir() for folder in found.libraries] == [True]


def test_triton_root_names_another_server(made: Installation, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    assert made.executable == site / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    assert made.libraries == (site / "nvidia_pytriton.libs",)
    assert os.access(made.executable, os.X_OK)


def test_a_missing_wheel_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def find_no_pytriton(name: str, *rest: Any) -> Any:
        return None if name == "pytriton" else find_spec(name, *rest)

    monkeypatch.delenv("TRITON_ROOT", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", find_no_pytriton)
    with pytest.raises(ServerNotInstalled, match=r"nvidia-pytriton, .*pip install nvidia-pytriton==0\.7\.0$"):
        find_installation()


def test_a_root_without_a_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_ROOT", str(tmp_path))
    with pytest.raises(ServerNotInstalled) as caught:
        find_installation()
    assert str(caught.value) == f"no tritonserver below {tmp_path}"


def test_a_python_that_the_server_does_not_know_is_named_with_those_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_ROOT", str(make_server(tmp_path / "tritonserver", stub_version="2.7")))
    with pytest.raises(ServerNotInstalled) as caught:
        find_installation()
    assert str(caught.value) == f"the embedded server has no stub for Python {PYTHON}; it has 2.7"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation like NVIDIA's image: the backend has the stub, libtorch has a backend, nothing is writable."""
    root = tmp_path / "tritonserver"
    for below in (
        "bin/tritonserver",
        "backends/python/triton_python_backend_stub",
        "backends/pytorch/libtriton_pytorch.so",
    ):
        (root / below).parent.mkdir(parents=True)
        (root / below).write_text(below)
    (root / "bin" / "tritonserver").chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("it belongs to root"))
    monkeypatch.setenv("TRITON_ROOT", str(root))
    return find_installation()


def test_an_images_own_backends_are_used_unchanged(image: Installation, tmp_path: Path) -> None:
    directory = tmp_path / "backends"
    build_backend_directory(image, directory)
    assert (directory / "python").resolve() == image.backends / "python"
    assert {path.name for path in (directory / "pytorch").iterdir()} == {"libtriton_pytorch.so"}


def test_an_images_own_libraries_stay_on_the_library_path(image: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/cuda/lib64")
    assert server_environment(image, Path("/backends"))["LD_LIBRARY_PATH"].endswith(":/usr/local/cuda/lib64")


@pytest.mark.parametrize(("given", "order"), [(None, "AUTO"), ("COMPATIBLE", "COMPATIBLE")])
def test_the_models_processes_add_up_in_one_order(
    given: str | None, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MKL_CBWR", raising=False)
    if given is not None:
        monkeypatch.setenv("MKL_CBWR", given)
    image = Installation(Path("/tritonserver"), Path("/backends"), Path("/stub"), ())
    assert server_environment(image, Path("/backends"))["MKL_CBWR"] == order


def test_the_backend_directory_holds_the_python_backend_with_its_stub_and_our_pytorch(
    made: Installation, tmp_path: Path
) -> None:
    directory = tmp_path / "backends"
    build_backend_directory(made, directory)
    assert {path.name for path in directory.iterdir()} == {"python", "pytorch", "lib"}
    assert (directory / "python" / "libtriton_python.so").is_file()
    stub = directory / "python" / "triton_python_backend_stub"
    assert stub.read_text() == "triton_python_backend_stub"
    assert os.access(stub, os.X_OK)
    assert "class TritonPythonModel" in (directory / "pytorch" / "model.py").read_text()


@pytest.mark.parametrize("shared", [True, False], ids=["libpython", "static python"])
def test_the_backend_directory_links_only_this_pythons_library(
    shared: bool, made: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    system.mkdir()
    (system / "libcudnn.so").write_text("another version")
    if shared:
        (system / "libpython3.so.1.0").write_text("python")
    values = {"LIBDIR": str(system), "INSTSONAME": "libpython3.so.1.0" if shared else "libpython3.a"}
    monkeypatch.setattr(sysconfig, "get_config_vars", lambda *names: [values[name] for name in names])
    build_backend_directory(made, tmp_path / "backends")
    links = {path.name: path.resolve() for path in (tmp_path / "backends" / "lib").iterdir()}
    assert links == ({"libpython3.so.1.0": system / "libpython3.so.1.0"} if shared else {})


def test_a_native_pytorch_backend_is_not_replaced(made: Installation, tmp_path: Path) -> None:
    native = made.backends / "pytorch" / "libtriton_pytorch.so"
    native.parent.mkdir()
    native.write_text("native")
    directory = tmp_path / "backends"
    build_backend_directory(made, directory)
    assert [path.name for path in (directory / "pytorch").iterdir()] == ["libtriton_pytorch.so"]


def test_building_does_not_change_the_installation(made: Installation, tmp_path: Path) -> None:
    before = sorted(made.executable.parent.parent.rglob("*"))
    build_backend_directory(made, tmp_path / "backends")
    assert sorted(made.executable.parent.parent.rglob("*")) == before


def test_the_servers_environment_finds_this_python_first_and_its_own_libraries(
    made: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/other-cudnn")
    monkeypatch.setenv("AUDIOCRAFT_MUSICGEN_CHECKPOINT", "somewhere")
    environment = server_environment(made, Path("/backends"))
    assert environment["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    assert environment["LD_LIBRARY_PATH"].split(os.pathsep) == [str(made.libraries[0]), "/backends/lib"]
    assert environment["AUDIOCRAFT_MUSICGEN_CHECKPOINT"] == "somewhere"
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/other-cudnn"  # unchanged: others would break CUDA torch
