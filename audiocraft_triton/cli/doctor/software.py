"""Checks of what is installed: the extras, torch, audiocraft, the server. Each imports what it asks about."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from audiocraft_triton.checkpoints.audiocraft_installation import install_command as install_audiocraft
from audiocraft_triton.checkpoints.audiocraft_installation import requirements as audiocraft_requirements
from audiocraft_triton.cli.doctor.finding import Finding, Verdict
from audiocraft_triton.cli.extras import EXTRAS, Unmet, install_command, requirements, summary, unmet
from audiocraft_triton.serving.embedded.installation import ServerNotInstalled, find_installation

_NEEDED = {"engine", "serve"}
_WHAT_FOR = {
    "engine": "the generation engine",
    "serve": "the embedded server",
    "gateway": "the REST gateway and the studio page",
    "train": "training, in a checkout",
}


def check_extra(extra: str, lacking: Sequence[Unmet], has_own_triton: bool = False) -> Finding:
    """An extra's packages, all or not; a machine with a tritonserver of its own needs none of `serve`."""
    check = f"[{extra}]"
    if not requirements(extra):
        return Finding(check, f"{_WHAT_FOR[extra]}: not known, this package runs without being installed")
    if not lacking:
        return Finding(check, f"{_WHAT_FOR[extra]}: complete")
    verdict = Verdict.wrong if all(item.found for item in lacking) else Verdict.missing
    blocks = extra in _NEEDED and not (extra == "serve" and has_own_triton)
    found = f"{_WHAT_FOR[extra]}: {summary(lacking)}"
    return Finding(check, found, verdict, install_command(extra), blocks)


def check_torch() -> tuple[Finding, bool]:
    """torch, and whether it computes on a GPU."""
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken library raises what it likes
        return _not_importable("torch", error, install_command("engine")), False
    on_gpu = bool(torch.cuda.is_available())
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU"
    return Finding("torch", f"{torch.__version__}, {built}, {torch.get_num_threads()} threads"), on_gpu


def check_reproducibility(setting: str | None, machine: str) -> Finding:
    """MKL_CBWR as this process has it: without it MKL may add up in another order in another thread."""
    if machine != "x86_64":
        return Finding("equal bits", f"no MKL on {machine}")
    if setting:
        return Finding("equal bits", f"MKL_CBWR={setting}")
    advice = "export MKL_CBWR=AUTO: without it a request's last bits may depend on its neighbours, on AMD for one"
    return Finding("equal bits", "MKL_CBWR is not set", Verdict.wrong, advice)


def check_audiocraft() -> Finding:
    """audiocraft, torchaudio and xformers: present, of the tested versions, and importable beside the others."""
    installed, absent, others = [], [], []
    for requirement in audiocraft_requirements():
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            absent.append(requirement.name)
            continue
        installed.append(f"{requirement.name} {found}")
        if not requirement.specifier.contains(found):
            others.append(str(requirement))
    if absent:
        return Finding("audiocraft", f"no {', '.join(absent)}", Verdict.missing, install_audiocraft(), blocks=True)
    try:
        importlib.import_module("audiocraft_triton.checkpoints.upstream")
    except Exception as error:  # as above
        return _not_importable("audiocraft", error, install_audiocraft())
    if others:
        advice = f"tested is {', '.join(others)}: {install_audiocraft()}"
        return Finding("audiocraft", ", ".join(installed), Verdict.wrong, advice)
    return Finding("audiocraft", ", ".join(installed))


def check_server_numpy(found: str | None, has_own_triton: bool) -> Finding:
    """numpy's version: the embedded server's Python stub can't pass text under numpy 2."""
    if found is None:
        return Finding("numpy", "none", Verdict.missing, install_command("engine"), blocks=True)
    if int(found.partition(".")[0]) < 2 or has_own_triton:
        return Finding("numpy", found)
    advice = "the embedded server dies on text under numpy 2: pip install 'numpy>=1.26,<2'"
    return Finding("numpy", found, Verdict.wrong, advice, blocks=True)


def check_triton(own: str | None) -> Finding:
    """A server for this Python: the embedded one, or the machine's own tritonserver at this path."""
    try:
        installation = find_installation()
    except ServerNotInstalled as error:
        if own:
            return Finding("Triton", own)
        return Finding("Triton", str(error), Verdict.missing, install_command("serve"), blocks=True)
    if installation.stub is None:  # the backend has one: an image's server, which is there for this Python
        return Finding("Triton", str(installation.executable))
    return Finding("Triton", f"{installation.executable}, with a stub for Python {installation.stub.parent.name}")


def check_sound_files() -> Finding:
    """libsndfile, and whether it reads and writes mp3."""
    try:
        soundfile = importlib.import_module("soundfile")
        formats = soundfile.available_formats()
    except Exception as error:  # as above
        return _not_importable("libsndfile", error, install_command("engine"))
    if "MP3" in formats:
        return Finding("libsndfile", f"{soundfile.__libsndfile_version__}, with mp3")
    found = f"{soundfile.__libsndfile_version__}, without mp3"
    return Finding("libsndfile", found, Verdict.wrong, "mp3 needs libsndfile 1.1 or newer: pip install -U soundfile")


def check_software() -> tuple[list[Finding], bool]:
    """All checks of this file, and whether torch computes on a GPU."""
    own_triton = shutil.which("tritonserver")
    torch, on_gpu = check_torch()
    try:
        numpy: str | None = version("numpy")
    except PackageNotFoundError:
        numpy = None
    findings = [
        *(check_extra(extra, unmet(extra), own_triton is not None) for extra in EXTRAS),
        torch,
        check_reproducibility(os.environ.get("MKL_CBWR"), platform.machine()),
        check_audiocraft(),
        check_server_numpy(numpy, own_triton is not None),
        check_triton(own_triton),
        check_sound_files(),
    ]
    return findings, on_gpu


def _not_importable(check: str, error: Exception, advice: str) -> Finding:
    lines = str(error).splitlines()
    found = f"{type(error).__name__}: {lines[0] if lines else ''}"
    verdict = Verdict.missing if isinstance(error, ModuleNotFoundError) else Verdict.wrong
    return Finding(check, found, verdict, advice, blocks=True)
