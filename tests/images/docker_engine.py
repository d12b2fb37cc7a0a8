"""A Docker engine to build and run images with: the one that answers here, or Debian's, unpacked and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUILDER = "mmdebstrap"
ENGINE = ("docker.io", "containerd", "runc", "tini", "iptables")
START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Docker:
    """Runs the docker command line, and the programs beside it.

    Attributes:
        environment: names the engine, and finds the programs.
    """

    environment: Mapping[str, str]

    def __call__(self, *arguments: str, folder: Path | None = None, timeout: float = 120.0) -> str:
        """Runs `docker ARGUMENTS…`; returns what it says.

        Raises:
            AssertionError: it failed; the message ends with what it said.
        """
        return self.program("docker", *arguments, folder=folder, timeout=timeout)

    def compose(self, *arguments: str, folder: Path, timeout: float = 600.0) -> str:
        """Runs Compose: the plugin where there is one, else Debian's docker-compose. Returns and raises like a call."""
        plugin = ["docker", "compose"]
        version = subprocess.run([*plugin, "version"], env=dict(self.environment), capture_output=True)
        command = plugin if version.returncode == 0 else ["docker-compose"]
        return self.program(*command, *arguments, folder=folder, timeout=timeout)

    def program(self, *command: str, folder: Path | None = None, timeout: float = 120.0) -> str:
        """Runs any program where the engine's are found. Returns and raises like a call."""
        result = subprocess.run(
            command, cwd=folder, env=dict(self.environment), timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        assert result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout[-6000:]}"
        return result.stdout.strip()


@contextmanager
def docker_engine() -> Iterator[Docker]:
    """A running engine; one that was started for this is stopped, and nothing of it stays."""
    programs = Path(tempfile.mkdtemp(prefix="audiocraft-docker-programs-"))
    try:
        if _answers(os.environ):
            yield Docker(_unpack(programs, BUILDER))
        else:
            with _started_engine(_unpack(programs, BUILDER, *ENGINE)) as docker:
                yield docker
    finally:
        shutil.rmtree(programs)


def _answers(environment: Mapping[str, str]) -> bool:
    if shutil.which("docker", path=environment["PATH"]) is None:
        return False
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, env=dict(environment), capture_output=True).returncode == 0


def _unpack(folder: Path, *packages: str) -> dict[str, str]:
    """Downloads those of Debian's packages that are not installed, with what they need. Returns the environment."""
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    options = ("-qq", "-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root")
    subprocess.run(["apt-get", "-qq", "update"], check=True)
    subprocess.run(
        ["apt-get", "install", "--download-only", "--yes", "--no-install-recommends", *options, *packages],
        check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for package in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)
    libraries = folder / "usr/lib/x86_64-linux-gnu"
    if (multi := folder / "usr/sbin/xtables-nft-multi").is_file():
        # Containers find each other's names by rules that dockerd writes with this program, in their own namespaces.
        program = multi.with_name("iptables")
        program.write_text(f'#!/bin/sh\nXTABLES_LIBDIR={libraries}/xtables exec {multi} iptables "$@"\n')
        program.chmod(0o755)
    own = [str(folder / below) for below in ("usr/bin", "usr/sbin")]
    return {
        **os.environ,
        "PATH": os.pathsep.join([*own, "/usr/sbin", "/sbin", os.environ["PATH"]]),
        "LD_LIBRARY_PATH": str(libraries),
    }


@contextmanager
def _started_engine(environment: Mapping[str, str]) -> Iterator[Docker]:
    folder = Path(tempfile.mkdtemp(prefix="audiocraft-docker-engine-"))
    address = f"unix://{folder}/docker.sock"
    command = [
        "dockerd", f"--host={address}", f"--data-root={folder}/data", f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid", "--storage-driver=overlay2",
        "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
    ]  # fmt: skip
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
    try:
        docker = Docker({**environment, "DOCKER_HOST": address, "DOCKER_BUILDKIT": "1"})
        deadline = time.monotonic() + START_SECONDS
        while not _answers(docker.environment):
            assert process.poll() is None, f"dockerd ended:\n{log.read_text()[-6000:]}"
            assert time.monotonic() < deadline, f"dockerd does not answer:\n{log.read_text()[-6000:]}"
            time.sleep(0.2)
        try:
            yield docker
        finally:
            _remove_everything(docker)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _unmount_below(folder)
        shutil.rmtree(folder)


def _remove_everything(docker: Docker) -> None:
    """Containers, and networks, whose bridges would outlive the engine."""
    if containers := docker("ps", "--all", "--quiet").split():
        docker("rm", "--force", *containers)
    docker("network", "prune", "--force")


def _unmount_below(folder: Path) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted(mounted, reverse=True):
        if Path(point).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", point], check=True)
