"""Base images under the names that the Dockerfile and docker-compose.yml use, made of Debian's packages.

They prove the Dockerfile's steps. They do not prove NVIDIA's image: its Triton release, its native libtorch backend,
its CUDA libraries and its Python are other ones.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import yaml
from docker_engine import Docker
from package_index import CERTIFICATES

from audiocraft_triton import serving
from audiocraft_triton.serving.embedded.installation import find_installation

PROJECT = Path(__file__).resolve().parents[2]
_RECIPES = Path(__file__).resolve().parent / "stand_ins"
_DEBIAN = "audiocraft-stand-in/debian"
_SUITE, _PYTHON = "bookworm", "3.11"
_STUB = "triton_python_backend_stub"
LABEL = "audiocraft-triton.stand-in"


def make_stand_ins(docker: Docker, pip_configuration: str) -> list[str]:
    """Builds a stand-in for each base image. Returns their names, and that of what they are made of.

    Raises:
        AssertionError: the engine has an image of such a name that is no stand-in; it is not replaced.
    """
    names = base_images()
    for name in names.values():
        found = docker("images", "--quiet", name)
        assert not found or docker("images", "--quiet", "--filter", f"label={LABEL}", name), (
            f"this Docker engine holds {name} itself: remove it, or run this where it is not"
        )
    folder = Path(tempfile.mkdtemp(prefix="audiocraft-stand-ins-"))
    try:
        _make_debian(docker, folder)
        for recipe, name in names.items():
            context = folder / recipe
            _lay_out_pip(context, pip_configuration)
            if recipe == "triton":
                _lay_out_tritonserver(context / "opt/tritonserver")
            docker(
                "build", "--network", "host", "--label", f"{LABEL}=true", "--tag", name,
                "--file", str(_RECIPES / f"{recipe}.Dockerfile"), str(context), timeout=600.0,
            )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    return [*names.values(), _DEBIAN]


def base_images() -> dict[str, str]:
    """Recipe -> the name that its image stands in for, with the tag that is the project's default."""
    dockerfile = (PROJECT / "Dockerfile").read_text()
    tags = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    bases = {
        re.sub(r"\$\{(\w+)\}", lambda tag: tags[tag[1]], base) for base in re.findall(r"^FROM (\S+)", dockerfile, re.M)
    }
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
    prometheus = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", services["prometheus"]["image"])
    by_recipe = {
        base.partition(":")[0].rpartition("/")[2].removesuffix("server"): base for base in (*bases, prometheus)
    }
    assert set(by_recipe) == {"triton", "python", "prometheus"}, by_recipe
    return by_recipe


def _make_debian(docker: Docker, folder: Path) -> None:
    archive = folder / "debian.tar"
    unread = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    docker.program(
        "mmdebstrap", "--mode=root", "--variant=apt", "--include=ca-certificates,python3", *unread,
        _SUITE, str(archive), timeout=600.0,
    )  # fmt: skip
    docker("import", "--change", f"LABEL {LABEL}=true", str(archive), _DEBIAN)
    archive.unlink()


def _lay_out_pip(context: Path, pip_configuration: str) -> None:
    """pip in the image reaches what pip reaches here, and trusts whom this machine trusts."""
    (context / "etc").mkdir(parents=True)
    (context / "etc/pip.conf").write_text(pip_configuration)
    certificates = context / CERTIFICATES.relative_to("/")
    certificates.parent.mkdir(parents=True)
    shutil.copyfile(CERTIFICATES, certificates)


def _lay_out_tritonserver(root: Path) -> None:
    """The wheel's server as NVIDIA's image has it: programs, backends, and the libraries that they bring."""
    installation = find_installation()
    wheel = installation.executable.parents[1]
    shutil.copytree(installation.backends, root / "backends")
    shutil.copy(wheel / "python_backend_stubs" / _PYTHON / _STUB, root / "backends/python" / _STUB)
    (root / "backends/python" / _STUB).chmod(0o755)
    shutil.copytree(Path(serving.__file__).parent / "backends/pytorch", root / "backends/pytorch")
    for libraries in installation.libraries:
        shutil.copytree(libraries, root / "lib", dirs_exist_ok=True)
    programs = root / "bin"
    programs.mkdir()
    shutil.copy(installation.executable, programs / "tritonserver.wheel")
    program = programs / "tritonserver"
    program.write_text('#!/bin/sh\nLD_LIBRARY_PATH=/opt/tritonserver/lib exec "$0.wheel" "$@"\n')
    program.chmod(0o755)
