"""The wheels, installed in an empty environment outside the checkout, do there what the README says.

What they require comes as links to the packages of the environment that runs the tests, by the metadata of the wheels:
a package that nobody declared can't be imported, and the checkout is not there. With AUDIOCRAFT_TEST_FRESH_INSTALL=1
(`make test-wheels`) pip installs all of it from the package index instead, in the newest versions that are allowed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wheel_environments import PROJECT, Environment, make_environment

from audiocraft_triton.checkpoints import audiocraft_installation

if TYPE_CHECKING:
    from wheel_environments import Wheels

AUDIOCRAFT = [requirement.name for requirement in audiocraft_installation.requirements()]
BASE = "contract cli.doctor cli.commands.doctor cli.options serving.embedded serving.container serving.repository"
ENGINE = "audio checkpoints engine scoring torchscript cli.preparation cli.commands.export cli.commands.fetch cli.commands.convert"  # noqa: E501
SERVE = "cli.commands.serve cli.commands.demo"
GATEWAY = "gateway cli.commands.gateway"
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
        # CUDA builds of torch bring the language that these are written in; a __main__ runs something.
        if not found.name.endswith((".kernels.cuda", ".__main__")):
            importlib.import_module(found.name)
"""


@pytest.fixture(scope="module")
def server_environment(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that can serve, with the gateway."""
    folder = tmp_path_factory.mktemp("serve")
    made = make_environment(folder, wheels.package, wheels.client)
    if os.environ.get("AUDIOCRAFT_TEST_FRESH_INSTALL"):
        made.install(f"{wheels.package}[serve,gateway]", str(wheels.client))
        made.install(*shlex.split(audiocraft_installation.install_command())[2:])
    else:
        made.link(["audiocraft-triton[serve,gateway]"])
        made.link(AUDIOCRAFT, with_their_own=False)
    return made


def test_the_engine_generates_in_plain_python(server_environment: Environment) -> None:
    code = (
        "from audiocraft_triton import Engine\n"
        "engine = Engine('demo')\n"
        "print(engine.generate('calm piano', duration=0.5, seed=7).waveform.shape)\n"
        "engine.close()\n"
        "import audiocraft_triton; print(audiocraft_triton.__file__)"
    )
    done = server_environment.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    shape, source = done.stdout.splitlines()
    assert shape == "(1, 16000)"
    assert Path(source).is_relative_to(server_environment.packages)


def test_the_server_answers_the_client_and_writes_into_the_users_folder_only(server_environment: Environment) -> None:
    before = our_files(server_environment)
    with served(server_environment) as address:
        asked = ("--server", address, "music", "calm solo piano", "-o", "clip.wav", "--duration", "0.5")
        answered = server_environment.run("audiocraft-client", *asked)
    assert answered.returncode == 0, answered.stderr
    assert (server_environment.home / "clip.wav").stat().st_size == 44 + 2 * 16_000
    repository = server_environment.home / ".local" / "share" / "audiocraft-triton" / "model_repository"
    assert (repository / "mpd" / "1" / "model.pt").is_file()
    assert our_files(server_environment) == before
    examined = server_environment.run("audiocraft-triton", "doctor", "--json")
    found = json.loads(examined.stdout)
    assert (examined.returncode, found["can_serve"]) == (0, True), examined.stdout
    findings = {finding["check"]: finding for finding in found["findings"]}
    assert findings["exported models"]["verdict"] == "ok"
    assert str(repository) in findings["exported models"]["found"]
    assert findings["[train]"]["verdict"] == "missing"


def test_help_and_version_need_no_extra_and_say_how_to_get_them(base: Environment) -> None:
    shown = base.run("audiocraft-triton", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "pip install 'audiocraft-triton[gateway]'" in shown.stdout
    assert re.fullmatch(r"audiocraft-triton \d+\.\d+\.\d+\n?", base.run("audiocraft-triton", "--version").stdout)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("gateway", "pip install 'audiocraft-triton[gateway]'"),
        ("serve", "pip install 'audiocraft-triton[serve]'"),
        ("export", "pip install 'audiocraft-triton[engine]'"),
        ("studio", "pip install 'audiocraft-triton[serve,gateway]'"),
        ("train-discriminators", "runs in a checkout only"),
    ],
)
def test_a_command_without_its_extra_says_in_one_line_what_to_install(
    base: Environment, command: str, words: str
) -> None:
    refused = base.run("audiocraft-triton", command)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1, refused.stderr


def test_the_doctor_of_a_bare_package_names_what_is_missing(base: Environment) -> None:
    examined = base.run("audiocraft-triton", "doctor", "--json")
    assert examined.returncode == 1, examined.stderr
    missing = {found["check"]: found["advice"] for found in json.loads(examined.stdout)["findings"]
               if found["verdict"] == "missing"}  # fmt: skip
    assert missing["[engine]"] == "pip install 'audiocraft-triton[engine]'"
    assert missing["audiocraft"] == audiocraft_installation.install_command()


@pytest.mark.parametrize(
    ("extras", "modules"),
    [("", BASE), ("engine", ENGINE), ("serve", SERVE), ("gateway", GATEWAY), ("train", "training")],
)
def test_modules_import_with_what_their_extra_requires(
    wheels: Wheels, tmp_path: Path, extras: str, modules: str
) -> None:
    made = make_environment(tmp_path, wheels.package, *([wheels.client] if extras in ("serve", "gateway") else []))
    made.link([f"audiocraft-triton[{extras}]" if extras else "audiocraft-triton"])
    if extras in ("engine", "serve", "train"):
        made.link(AUDIOCRAFT, with_their_own=False)
    if extras == "train":  # of the checkout, which stands here alone
        (made.packages / "training").symlink_to(PROJECT / "training")
    named = ["training"] if extras == "train" else [f"audiocraft_triton.{name}" for name in modules.split()]
    imported = made.run("python", "-c", IMPORT_ALL, *named)
    assert imported.returncode == 0, imported.stderr


def test_without_audiocraft_the_engine_says_the_command(wheels: Wheels, tmp_path: Path) -> None:
    made = make_environment(tmp_path, wheels.package)
    made.link(["audiocraft-triton[engine]"])
    for failed in (
        made.run("python", "-c", "from audiocraft_triton import Engine; Engine('demo')"),
        made.run("audiocraft-triton", "export"),
    ):
        assert failed.returncode == 1
        assert audiocraft_installation.install_command() in failed.stderr


def our_files(environment: Environment) -> dict[str, int]:
    """The files of the installed package and when each was changed; Python's own bytecode left out."""
    files = (path for path in (environment.packages / "audiocraft_triton").rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in files if path.suffix != ".pyc"}


@contextmanager
def served(environment: Environment) -> Iterator[str]:
    """`audiocraft-triton serve` on free ports; gives its gRPC address, and ends it as a service manager would."""
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    process = subprocess.Popen(
        [environment.folder / "bin" / "audiocraft-triton", "serve", *ports],
        cwd=environment.home, env=environment.variables, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        told = ""
        for line in process.stderr:
            told += line
            if found := re.match(r"ready: HTTP \S+  gRPC (\S+)", line):
                yield found[1]
                break
        else:
            raise AssertionError(f"it ended before it was ready:\n{told}")
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
