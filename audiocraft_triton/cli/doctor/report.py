"""Collects all findings on this machine, and formats them as a table or as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from audiocraft_triton.cli.doctor.finding import Finding, Verdict
from audiocraft_triton.cli.doctor.machine import check_disk, check_machine
from audiocraft_triton.cli.doctor.models import check_demo_checkpoints, check_exported_models
from audiocraft_triton.cli.doctor.software import check_software

_STYLES = {Verdict.ok: "green", Verdict.slow: "yellow", Verdict.missing: "red", Verdict.wrong: "red"}


def examine(repository: Path, cache: Path, is_default: bool) -> list[Finding]:
    """Runs every check, which takes some seconds, since torch and audiocraft are imported.

    Args:
        repository: folder of the model repository.
        cache: folder for downloads.
        is_default: whether `repository` is the default one.
    """
    software, on_gpu = check_software()
    return [
        *check_machine(on_gpu, has_own_triton=shutil.which("tritonserver") is not None),
        *software,
        check_disk(cache, shutil.disk_usage(_existing(cache)).free),
        check_demo_checkpoints(),
        check_exported_models(repository, is_default),
    ]


def can_serve(findings: Sequence[Finding]) -> bool:
    """Tells whether no finding blocks `serve`."""
    return not any(finding.blocks for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Formats findings as JSON: `can_serve`, and `findings`, each with the fields of Finding."""
    shown = {"can_serve": can_serve(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(shown, indent=2)


def as_table(findings: Sequence[Finding]) -> Table:
    """Formats findings as a table with a row for each check."""
    table = Table(title="this machine", title_justify="left")
    for heading in ("check", "found", "verdict", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict.value, _STYLES[finding.verdict])
        table.add_row(Text(finding.check), Text(finding.found), verdict, Text(finding.advice))
    blocking = ", ".join(finding.check for finding in findings if finding.blocks)
    table.caption = Text(f"can't serve: {blocking}" if blocking else "can serve")
    return table


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
