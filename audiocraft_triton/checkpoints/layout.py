"""Finds checkpoints by name, and their files in audiocraft's layout or this project's.

A checkpoint in audiocraft's layout holds these files (those that a model does not need may be absent):

    state_dict.bin              the language model: {"best_state", "xp.cfg": YAML}
    compression_state_dict.bin  the EnCodec: {"best_state", "xp.cfg": YAML}
    <t5 name>/                  text encoder and tokenizer, if the config names a local folder
    mbd_musicgen_32khz.th       MultiBand Diffusion
    discriminators.bin          the three discriminators: {"best_state", "xp.cfg": YAML} (this project's)

In a directory, a pair of safetensors and JSON may replace each of these files (see `safe_weights`), as in the demo
checkpoints; if both exist, the pair is used. Hub ids keep audiocraft's own files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from audiocraft_triton.contract.errors import CheckpointError

LM_FILE = "state_dict.bin"
CODEC_FILE = "compression_state_dict.bin"
DIFFUSION_FILE = "mbd_musicgen_32khz.th"
DISCRIMINATORS_FILE = "discriminators.bin"

DEMO_CHECKPOINTS = {"demo": "music", "demo-sound": "sound"}
SHIPPED_DEMO = Path(__file__).resolve().parent / "demo"
"""The demo checkpoints that come with this package."""
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint's files come from.

    Attributes:
        name: as the user gave it.
        directory: local folder; None for a hub id, whose files are fetched (or taken from the hub's cache) on use.
    """

    name: str
    directory: Path | None

    def files(self, filename: str) -> tuple[Path, ...]:
        """Returns the local paths for `filename` of audiocraft's layout: its safetensors and JSON, else the file.

        Raises:
            CheckpointError: neither exists, the pair is incomplete, or the hub can't provide the file.
        """
        if self.directory is None:
            return (self.file(filename),)
        weights, description = pair_names(filename)
        if (self.directory / weights).is_file():
            return self.directory / weights, self.file(description)
        if not (self.directory / filename).is_file():
            raise CheckpointError(
                f"checkpoint {self.name!r} has neither {weights} nor {filename} (looked in {self.directory})"
            )
        return (self.directory / filename,)

    def file(self, filename: str) -> Path:
        """Returns the local path of the file of exactly this name.

        Raises:
            CheckpointError: the file is missing, or the hub can't provide it.
        """
        if self.directory is not None:
            path = self.directory / filename
            if not path.is_file():
                raise CheckpointError(f"checkpoint {self.name!r} has no {filename} (looked in {self.directory})")
            return path
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(repo_id=self.name, filename=filename, library_name="audiocraft-triton"))
        except Exception as error:  # the hub client raises types of several libraries
            raise CheckpointError(
                f"checkpoint {self.name!r}: {filename} is neither in the hub's cache nor could it be fetched "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); without network, "
                "give a local directory"
            ) from error

    def has(self, filename: str) -> bool:
        """Tells whether the checkpoint holds the file or its pair; for a hub id, asks the hub."""
        if self.directory is not None:
            return any((self.directory / name).is_file() for name in (pair_names(filename)[0], filename))
        try:
            self.file(filename)
        except CheckpointError:
            return False
        return True


def demo_directory() -> Path:
    """Returns the folder of the demo checkpoints: AUDIOCRAFT_DEMO_CHECKPOINTS, else the one inside this package."""
    given = os.environ.get("AUDIOCRAFT_DEMO_CHECKPOINTS")
    return Path(given) if given else SHIPPED_DEMO


def resolve(name: str) -> Checkpoint:
    """Finds a checkpoint by name.

    Args:
        name: `demo` (music), `demo-sound`, a local directory, or a hub id such as `facebook/musicgen-small`.

    Raises:
        CheckpointError: no checkpoint has that name.
    """
    if name in DEMO_CHECKPOINTS:
        directory = demo_directory() / DEMO_CHECKPOINTS[name]
        if not directory.is_dir():
            raise CheckpointError(
                f"checkpoint {name!r} is missing ({directory}): the demo checkpoints come with this package; install "
                "it again, or set AUDIOCRAFT_DEMO_CHECKPOINTS to a folder that has them"
            )
        return Checkpoint(name, directory)
    if name and Path(name).is_dir():
        return Checkpoint(name, Path(name).resolve())
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        return Checkpoint(name, None)
    raise CheckpointError(
        f"unknown checkpoint {name!r}: must be one of {', '.join(DEMO_CHECKPOINTS)}, an existing directory, "
        "or a hub id such as facebook/musicgen-small"
    )


def pair_names(filename: str) -> tuple[str, str]:
    """Returns the names of the safetensors and the JSON that replace a file of audiocraft's layout."""
    stem = Path(filename).stem
    return f"{stem}.safetensors", f"{stem}.json"
