"""Exports a checkpoint's three discriminators into a model repository: load, rebuild for TorchScript, verify, write.

    python export/discriminators.py my_discriminators models/repository

`audiocraft-triton export` exports these together with EnCodec, and only if the export is out of date.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.torchscript.models import build_discriminators, install

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="demo, or a directory with discriminators.bin")
    parser.add_argument("repository", type=Path, help="the model repository's folder")
    arguments = parser.parse_args()
    install(list(build_discriminators(resolve(arguments.checkpoint), print)), arguments.repository)
