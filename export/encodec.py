"""Exports a checkpoint's EnCodec into a model repository: load, rebuild for TorchScript, verify, write.

    python export/encodec.py facebook/musicgen-small models/repository

`audiocraft-triton export` exports it together with the discriminators, and only if the export is out of date.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.torchscript.models import build_codec, install

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="demo, demo-sound, a directory or a hub id")
    parser.add_argument("repository", type=Path, help="the model repository's folder")
    arguments = parser.parse_args()
    install(list(build_codec(resolve(arguments.checkpoint), print)), arguments.repository)
