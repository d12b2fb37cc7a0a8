"""Locating the model repository: in a checkout, for an installed package, or by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiocraft_triton.serving.repository import default_repository, fill_repository, packaged_repository


@pytest.fixture(autouse=True)
def users_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's data; the environment names no repository."""
    monkeypatch.delenv("AUDIOCRAFT_MODEL_REPOSITORY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def make_models(folder: Path) -> Path:
    """Makes a repository with a Python model and an ensemble, as in the package."""
    for name, text in (("musicgen/config.pbtxt", "first"), ("musicgen/1/model.py", "first"), ("encode/1/.gitkeep", "")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A package installed from a wheel."""
    package = tmp_path / "site-packages" / "audiocraft_triton"
    make_models(package / "model_repository")
    return package


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A package in a checkout."""
    make_models(tmp_path / "checkout" / "model_repository")
    package = tmp_path / "checkout" / "audiocraft_triton"
    package.mkdir()
    return package


def test_a_checkout_serves_its_own_repository(checkout: Path) -> None:
    assert default_repository(checkout) == packaged_repository(checkout) == checkout.parent / "model_repository"


def test_an_installed_package_serves_a_copy_in_the_users_data(installed: Path, users_data: Path) -> None:
    repository = default_repository(installed)
    assert repository == users_data / "audiocraft-triton" / "model_repository"
    fill_repository(repository, installed)
    assert (repository / "musicgen" / "config.pbtxt").read_text() == "first"
    assert (repository / "encode" / "1").is_dir()


def test_without_a_data_folder_in_the_environment_the_copy_is_in_the_home_folder(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wanted = tmp_path / "home" / ".local" / "share" / "audiocraft-triton" / "model_repository"
    assert default_repository(installed) == wanted


def test_the_environment_names_another_repository(
    installed: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOCRAFT_MODEL_REPOSITORY", "/models/repository")
    assert default_repository(installed) == default_repository(checkout) == Path("/models/repository")


def test_an_upgrade_reaches_the_users_copy_and_keeps_exported_models(installed: Path) -> None:
    repository = default_repository(installed)
    fill_repository(repository, installed)
    (repository / "musicgen" / "1" / "model.pt").write_text("exported")
    (installed / "model_repository" / "musicgen" / "1" / "model.py").write_text("second")
    fill_repository(repository, installed)
    assert (repository / "musicgen" / "1" / "model.py").read_text() == "second"
    assert (repository / "musicgen" / "1" / "model.pt").read_text() == "exported"


def test_a_named_repository_is_filled_once_and_never_changed_again(checkout: Path, tmp_path: Path) -> None:
    (packaged_repository(checkout) / "musicgen" / "1" / "model.pt").write_text("exported in the checkout")
    mine = tmp_path / "mine"
    fill_repository(mine, checkout)
    assert not (mine / "musicgen" / "1" / "model.pt").exists()
    (mine / "musicgen" / "config.pbtxt").write_text("changed by hand")
    fill_repository(mine, checkout)
    assert (mine / "musicgen" / "config.pbtxt").read_text() == "changed by hand"
