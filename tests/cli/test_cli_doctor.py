"""What the doctor says of machines that this one is not, and how it says it."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from rich.console import Console
from typer.testing import CliRunner

from audiocraft_triton.cli.doctor import machine, models, report, software
from audiocraft_triton.cli.doctor.finding import Finding, Verdict
from audiocraft_triton.cli.extras import Unmet
from audiocraft_triton.cli.main import app
from audiocraft_triton.serving.embedded.installation import ServerNotInstalled

GIB = 2**30
GPU = "NVIDIA H200, 140000 MiB free of 143771 MiB, driver 580.95.05"


def verdict(finding: Finding) -> tuple[str, bool]:
    """The verdict, and whether it stands in the way of serving; whatever is not well says what to do."""
    assert bool(finding.advice) == (finding.verdict is not Verdict.ok)
    return finding.verdict.value, finding.blocks


@pytest.mark.parametrize(
    ("version", "expected"),
    [((3, 10, 0), ("ok", False)), ((3, 12, 9), ("ok", False)), ((3, 9, 18), ("wrong", True)),
     ((3, 13, 0), ("wrong", True))],
)  # fmt: skip
def test_python(version: tuple[int, ...], expected: tuple[str, bool]) -> None:
    assert verdict(machine.check_python(version)) == expected


@pytest.mark.parametrize(
    ("system", "processor", "libc", "own", "expected"),
    [
        ("Linux", "x86_64", ("glibc", "2.36"), False, ("ok", False)),
        ("Linux", "x86_64", ("glibc", "2.31"), False, ("wrong", True)),
        ("Linux", "x86_64", ("", ""), False, ("wrong", True)),  # musl
        ("Linux", "aarch64", ("glibc", "2.39"), False, ("wrong", True)),
        ("Linux", "aarch64", ("glibc", "2.39"), True, ("ok", False)),
        ("Darwin", "arm64", ("", ""), False, ("wrong", True)),
    ],
)
def test_platform(
    system: str, processor: str, libc: tuple[str, str], own: bool, expected: tuple[str, bool]
) -> None:  # fmt: skip
    assert verdict(machine.check_platform(system, processor, libc, own)) == expected


def test_one_core_is_slow_unless_a_gpu_does_the_work() -> None:
    assert verdict(machine.check_processor(1, "a processor", has_gpu=False)) == ("slow", False)
    assert verdict(machine.check_processor(1, "a processor", has_gpu=True)) == ("ok", False)
    assert machine.check_processor(2, "a processor", has_gpu=False).found == "2 cores, a processor"


def test_a_gpu_is_named_and_must_be_one_that_torch_uses() -> None:
    assert machine.check_gpu(GPU, torch_uses_it=True) == Finding("GPU", GPU)
    assert "built for CUDA" in machine.check_gpu(GPU, torch_uses_it=False).advice
    assert verdict(machine.check_gpu(None, torch_uses_it=False)) == ("slow", False)


def test_gpus_are_read_from_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(*_arguments: Any, **_options: Any) -> SimpleNamespace:
        return SimpleNamespace(stdout="NVIDIA H200, 140000 MiB, 143771 MiB, 580.95.05\n")

    def absent(*_arguments: Any, **_options: Any) -> None:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", listed)
    assert machine.read_gpus() == GPU
    monkeypatch.setattr(subprocess, "run", absent)
    assert machine.read_gpus() is None


@pytest.mark.parametrize(("free", "expected"), [(2 * GIB, ("ok", False)), (60 * 2**20, ("wrong", True))])
def test_shared_memory(free: int, expected: tuple[str, bool]) -> None:
    assert verdict(machine.check_shared_memory(2 * GIB, free)) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"ulimit -u": None, "the pids limit": None}, ("ok", False)),
        ({"ulimit -u": 96_364, "the pids limit": None}, ("ok", False)),
        ({"ulimit -u": 96_364, "the pids limit": 512}, ("wrong", True)),
    ],
)
def test_process_limit(limits: dict[str, int | None], expected: tuple[str, bool]) -> None:
    assert verdict(machine.check_process_limit(limits, cores=2)) == expected


def test_a_containers_process_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "pids.max").write_text("2048\n")
    limits = machine.read_process_limits([tmp_path / "absent", tmp_path / "pids.max"])
    assert limits["the pids limit"] == 2048
    assert "raise the pids limit" in machine.check_process_limit({"the pids limit": 512}, cores=2).advice
    (tmp_path / "pids.max").write_text("max\n")
    assert machine.read_process_limits([tmp_path / "pids.max"])["the pids limit"] is None


def test_taken_ports_are_named_and_do_not_stand_in_the_way() -> None:
    found = machine.check_ports(lambda port: port != 8001)
    assert verdict(found) == ("wrong", False)
    assert found.found == "taken: 8001 (gRPC)"
    assert verdict(machine.check_ports(lambda _port: True)) == ("ok", False)


def test_little_disk_is_named_with_the_folder() -> None:
    found = machine.check_disk(Path("/cache"), GIB)
    assert verdict(found) == ("wrong", False)
    assert found.found == "1.0 GiB free in /cache"


@pytest.mark.parametrize(
    ("extra", "found", "own", "expected"),
    [
        ("engine", None, False, ("missing", True)),
        ("serve", "2.1.0", False, ("wrong", True)),
        ("serve", None, True, ("missing", False)),
        ("gateway", None, False, ("missing", False)),
    ],
)
def test_an_extra_that_lacks_a_package_is_named_with_its_command(
    extra: str, found: str | None, own: bool, expected: tuple[str, bool]
) -> None:
    finding = software.check_extra(extra, [Unmet(Requirement("numpy<2"), found)], own)
    assert verdict(finding) == expected
    assert "numpy<2" in finding.found
    assert finding.advice == f"pip install 'audiocraft-triton[{extra}]'"


def test_a_complete_extra_is_well() -> None:
    assert verdict(software.check_extra("gateway", [])) == ("ok", False)


def test_torch_is_named_with_what_it_was_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    finding, _on_gpu = software.check_torch()
    assert finding.found.startswith("2.")
    assert "built for" in finding.found

    def broken(_name: str) -> None:
        raise OSError("libcudart.so.13: cannot open shared object file\nmore")

    monkeypatch.setattr(software.importlib, "import_module", broken)
    finding, on_gpu = software.check_torch()
    assert verdict(finding) == ("wrong", True)
    assert finding.found == "OSError: libcudart.so.13: cannot open shared object file"
    assert not on_gpu


@pytest.mark.parametrize(
    ("setting", "processor", "expected"),
    [("AUTO", "x86_64", ("ok", False)), (None, "x86_64", ("wrong", False)), (None, "aarch64", ("ok", False))],
)
def test_the_setting_that_keeps_bits_equal(setting: str | None, processor: str, expected: tuple[str, bool]) -> None:
    assert verdict(software.check_reproducibility(setting, processor)) == expected


def test_audiocraft_is_imported_and_another_version_of_it_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(software.check_audiocraft()) == ("ok", False)
    monkeypatch.setattr(software, "version", lambda name: "1.2.0" if name == "audiocraft" else "2.11.0")
    finding = software.check_audiocraft()
    assert verdict(finding) == ("wrong", False)
    assert "audiocraft==1.3.0" in finding.advice


def test_numpy_2_is_wrong_for_the_embedded_server_only() -> None:
    assert verdict(software.check_server_numpy("2.1.0", has_own_triton=False)) == ("wrong", True)
    assert verdict(software.check_server_numpy("2.1.0", has_own_triton=True)) == ("ok", False)
    assert verdict(software.check_server_numpy("1.26.4", has_own_triton=False)) == ("ok", False)
    assert verdict(software.check_server_numpy(None, has_own_triton=True)) == ("missing", True)


def test_a_server_is_the_embedded_one_or_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise ServerNotInstalled("the embedded server has no stub for Python 3.9; it has 3.10")

    assert "with a stub for Python" in software.check_triton(None).found
    monkeypatch.setattr(software, "find_installation", none)
    assert verdict(software.check_triton(None)) == ("missing", True)
    assert software.check_triton("/opt/tritonserver/bin/tritonserver").verdict is Verdict.ok


def test_libsndfile_without_mp3_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(software.check_sound_files()) == ("ok", False)
    old = SimpleNamespace(available_formats=lambda: {"WAV": "WAV"}, __libsndfile_version__="1.0.31")
    monkeypatch.setattr(software.importlib, "import_module", lambda _name: old)
    finding = software.check_sound_files()
    assert verdict(finding) == ("wrong", False)
    assert finding.found == "1.0.31, without mp3"


def test_missing_demo_checkpoints_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(models.check_demo_checkpoints()) == ("ok", False)
    monkeypatch.setenv("AUDIOCRAFT_DEMO_CHECKPOINTS", str(tmp_path))
    assert verdict(models.check_demo_checkpoints()) == ("missing", False)
    for name in ("music", "sound"):
        (tmp_path / name).mkdir()
    assert "state_dict.bin of demo" in models.check_demo_checkpoints().found


def test_exported_models_are_compared_with_what_would_be_exported(
    model_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verdict(models.check_exported_models(model_repository, is_default=False)) == ("ok", False)
    monkeypatch.setattr("torch.__version__", "0.0.0")
    finding = models.check_exported_models(model_repository, is_default=False)
    assert verdict(finding) == ("wrong", False)
    assert finding.advice == (
        f"audiocraft-triton export --checkpoint demo --discriminators demo --repository {model_repository}"
    )


def test_models_that_were_never_exported_are_missed_unless_serve_exports_them(tmp_path: Path) -> None:
    assert verdict(models.check_exported_models(tmp_path, is_default=False)) == ("missing", True)
    assert verdict(models.check_exported_models(tmp_path, is_default=True)) == ("ok", False)


def test_a_table_shows_brackets_as_they_are_and_says_what_stands_in_the_way() -> None:
    console = Console(width=120, file=io.StringIO())
    finding = Finding("[engine]", "torch", Verdict.missing, "pip install 'audiocraft-triton[engine]'", blocks=True)
    console.print(report.as_table([finding]))
    text = console.file.getvalue()
    assert "pip install 'audiocraft-triton[engine]'" in text
    assert "can't serve: [engine]" in text


@pytest.mark.parametrize(("blocks", "status"), [(False, 0), (True, 1)])
def test_the_exit_status_says_whether_it_can_serve(
    blocks: bool, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding("/dev/shm", "64 MB", Verdict.wrong, "give it more", blocks)
    monkeypatch.setattr("audiocraft_triton.cli.commands.doctor.examine", lambda *_arguments, **_options: [finding])
    shown = CliRunner().invoke(app, ["doctor", "--json", "--repository", str(tmp_path)])
    assert shown.exit_code == status
    assert json.loads(shown.stdout) == {
        "can_serve": not blocks,
        "findings": [
            {"check": "/dev/shm", "found": "64 MB", "verdict": "wrong", "advice": "give it more", "blocks": blocks}
        ],
    }
