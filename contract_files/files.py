"""The files that derive from the contract, and the text of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from audiocraft_triton.contract.models import KINDS, STREAM_MODELS, UNARY_MODELS
from audiocraft_triton.contract.parameters import PARAMETERS
from contract_files import blocks, client, docs, engine, page, triton

PROJECT = Path(__file__).resolve().parent.parent
PAGE = "audiocraft_triton/gateway/static/js/contract.js"
CLIENT = "client/audiocraft_client/_contract.py"
ENGINE_REQUEST = "audiocraft_triton/engine/request.py"
CLIENT_CALLS = "client/audiocraft_client/calls.py"


def derived(project: Path) -> dict[Path, str]:
    """Returns every file that is generated, wholly or between markers, with its text.

    Raises:
        ValueError: a file has lost the markers of its generated block.
    """
    return {
        project / PAGE: page.module(PARAMETERS),
        project / CLIENT: client.module(PARAMETERS),
        **dict(_with_blocks(project)),
    }


def _with_blocks(project: Path) -> Iterator[tuple[Path, str]]:
    yield _filled(project / ENGINE_REQUEST, "fields", engine.fields(PARAMETERS))
    yield _filled(project / CLIENT_CALLS, "options", client.options(PARAMETERS))
    for kind in KINDS:
        yield _filled(_config(project, UNARY_MODELS[kind]), "inputs", triton.inputs(PARAMETERS, "unary"))
        yield _filled(_config(project, STREAM_MODELS[kind]), "inputs", triton.inputs(PARAMETERS, "stream"))
    for path in (project / "README.md", *sorted((project / "docs").rglob("*.md"))):
        if blocks.names(path.read_text()):
            yield _filled(path, "parameters", docs.table(PARAMETERS))


def _config(project: Path, model: str) -> Path:
    return project / "model_repository" / model / "config.pbtxt"


def _filled(path: Path, name: str, content: str) -> tuple[Path, str]:
    text = path.read_text()
    if name not in blocks.names(text):
        raise ValueError(f"{path}: has no block `generated: {name}` … `/generated`")
    return path, blocks.filled(text, {name: content})
