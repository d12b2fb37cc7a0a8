"""The files that other projects' people look for: citation, workflows, hooks, decisions, changelog."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation import PROJECT

from audiocraft_triton import __version__

MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
DECISIONS = sorted((PROJECT / "docs/decisions").glob("0*.md"))
LONGEST_DECISION = 50


def parsed(path: str) -> Any:
    return yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))


def test_the_citation_is_valid_and_cites_audiocraft() -> None:
    citation = parsed("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    for key in ("message", "title", "authors"):
        assert citation[key]
    assert citation["version"] == __version__
    for entry in (citation, *citation["references"]):
        assert all("name" in author or "family-names" in author for author in entry["authors"])
    assert "AudioCraft" in {reference["title"] for reference in citation["references"]}


def test_the_changelog_has_this_version_and_what_is_unreleased() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert __version__ in headings


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_make_targets_that_there_are(workflow: Path) -> None:
    steps = [step for job in parsed(f".github/workflows/{workflow.name}")["jobs"].values() for step in job["steps"]]
    called = [target for step in steps for target in re.findall(r"^make (.+)$", step.get("run", ""), re.MULTILINE)]
    assert called
    assert set(" ".join(called).split()) <= TARGETS


def test_workflows_lint_test_and_build_the_documentation() -> None:
    runs = "\n".join(workflow.read_text(encoding="utf-8") for workflow in WORKFLOWS)
    assert "make system-packages lint test" in runs
    assert "make docs" in runs


def test_a_commit_is_checked_by_the_pinned_programs_of_make_lint() -> None:
    """The hooks run .venv's programs, so their versions are those of requirements/dev.txt, as in `make lint`."""
    pinned = (PROJECT / "requirements/dev.txt").read_text(encoding="utf-8")
    repositories = parsed(".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert all(hook["language"] == "system" for hook in hooks)
    called = {re.sub(r"^\.venv/bin/| --force-exclude", "", hook["entry"]) for hook in hooks}
    assert called == {"ruff check", "ruff format --check", "mypy", "lint-imports", "python -m contract_files --check"}
    for command in called:
        assert f"\t$(BIN)/{command}" in MAKEFILE
    for package in ("ruff", "mypy", "import-linter"):
        assert f"{package}==" in pinned


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_short_and_complete(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    number = int(decision.name[:4])
    assert text.startswith(f"# {number}. ")
    assert len(text.splitlines()) < LONGEST_DECISION
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_and_listed() -> None:
    assert [int(decision.name[:4]) for decision in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert len(DECISIONS) >= 10
    index = (PROJECT / "docs/decisions/README.md").read_text(encoding="utf-8")
    site = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    for decision in DECISIONS:
        assert f"]({decision.name})" in index
        assert f"decisions/{decision.name}" in site
