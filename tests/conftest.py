"""What all tests share: the seeded checkpoints, a model repository exported from them, and one real server."""

from __future__ import annotations

# First: tests import audiocraft itself, which this makes importable.
from audiocraft_triton.checkpoints import upstream  # noqa: F401

# isort: split
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from audiocraft.models import AudioGen, MusicGen
from checkout_guard import CheckoutGuard
from hypothesis.configuration import set_hypothesis_home_dir
from upstream_models import load_upstream

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer
    from audiocraft_triton.torchscript.manifest import Manifest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def demo_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with music/ and sound/, which `demo` and `demo-sound` mean for this run."""
    from training.seeded_checkpoint import make_seeded_checkpoints

    folder = tmp_path_factory.mktemp("demo-checkpoints")
    make_seeded_checkpoints(folder, report=lambda _line: None)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def model_repository(demo_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model repository with the seeded checkpoints exported into it."""
    from audiocraft_triton.torchscript.models import export_models

    assert demo_checkpoints.is_dir()
    repository = tmp_path_factory.mktemp("served") / "model_repository"
    built = shutil.ignore_patterns("model.pt", "manifest.json", "__pycache__")
    shutil.copytree(PROJECT / "model_repository", repository, ignore=built)
    export_models("demo", repository, report=lambda _line: None)
    return repository


@pytest.fixture(scope="session")
def upstream_music(demo_checkpoints: Path) -> MusicGen:
    """What audiocraft itself makes of the music checkpoint."""
    return load_upstream(MusicGen, demo_checkpoints / "music")


@pytest.fixture(scope="session")
def upstream_sound(demo_checkpoints: Path) -> AudioGen:
    """What audiocraft itself makes of the sound checkpoint."""
    return load_upstream(AudioGen, demo_checkpoints / "sound")


@pytest.fixture(scope="session")
def exported(demo_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Manifest]]:
    """A model repository with the export of `demo`, not to be changed, and its manifests."""
    from audiocraft_triton.checkpoints.layout import demo_directory
    from audiocraft_triton.torchscript.models import export_models

    assert demo_directory() == demo_checkpoints
    repository = tmp_path_factory.mktemp("repository")
    return repository, export_models("demo", repository, report=lambda _line: None)


@pytest.fixture(scope="session")
def server(model_repository: Path) -> Iterator[EmbeddedServer]:
    """Every model of the repository, ready, on free loopback ports."""
    from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options

    options = Options(repository=model_repository, http_port=0, grpc_port=0, metrics_port=0, ready_timeout=300)
    with EmbeddedServer(options, show=lambda line: print(line.text)) as running:
        yield running


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For networks so small that they only lose time by sharing their work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is written into the checkout but caches."""
    if config.pluginmanager.hasplugin("cacheprovider"):
        set_hypothesis_home_dir(config.cache.mkdir("hypothesis"))
    config.pluginmanager.register(CheckoutGuard(PROJECT))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that runs a Debian program is skipped where that is absent, and fails where CI should have it."""
    if item.get_closest_marker("needs_gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")
    for marker in item.iter_markers("needs_program"):
        program = marker.args[0]
        if shutil.which(program) is None:
            reason = f"needs the program {program}: run `make system-packages`"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every test that did not run, so that none is dropped in silence."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("NOT RUN")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2]}")
