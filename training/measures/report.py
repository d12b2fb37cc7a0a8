"""Renders the measures as a table for the terminal and as a model card."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from audiocraft_triton.contract.errors import InvalidRequest
from training.data.samples import PACKAGE, VERSION
from training.measures.results import Measure, Measures

TEMPLATE = Path(__file__).with_name("model_card.md")
OWN_FIELDS = {"measures", "summary", "environment", "samples"}
MARKS = {True: "yes", False: "**no**", None: ""}


def table(measures: Measures) -> Table:
    """Lists all figures with their targets, for a terminal."""
    result = Table(title="measures")
    result.add_column()
    result.add_column("measure")
    result.add_column("value", justify="right")
    result.add_column("target", justify="right")
    result.add_column()
    for section in measures.sections:
        for index, measure in enumerate(measures.of(section)):
            state = {True: "[green]reached", False: "[red]missed", None: ""}[measure.passed]
            result.add_row("" if index else section, measure.name, _value(measure), _target(measure), state)
        result.add_section()
    return result


def render_model_card(measures: Measures, facts: Mapping[str, str], path: Path) -> None:
    """Fills the template `model_card.md` with the measures and with facts about the training.

    Args:
        measures: figures of the weights that the card describes.
        facts: Markdown by name for each placeholder of the template except the measures; `card_fields()` lists them.
        path: of the card.

    Raises:
        InvalidRequest: a fact is missing, or the template has no place for it.
    """
    needed = card_fields()
    if wrong := sorted(needed ^ set(facts)):
        raise InvalidRequest("facts", ", ".join(wrong), f"must be exactly {', '.join(sorted(needed))}")
    text = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    own = {
        "measures": _markdown(measures),
        "summary": _summary(measures),
        "environment": _environment(measures),
        "samples": f"{PACKAGE} {VERSION}",
    }
    path.write_text(text.substitute({**facts, **own}), encoding="utf-8")


def read_facts(path: Path) -> dict[str, str]:
    """Reads the facts about a training that a model card needs: a JSON object of strings, or of lists of lines.

    Raises:
        InvalidRequest: the file is missing, or is not such an object.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {name: value if isinstance(value, str) else "\n".join(value) for name, value in facts.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InvalidRequest("facts", str(path), f"must be a JSON object of texts: {error}") from error


def card_fields() -> set[str]:
    """Returns the names of the facts that `render_model_card` needs."""
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    names = {match["named"] or match["braced"] for match in template.pattern.finditer(template.template)}
    return {name for name in names if name} - OWN_FIELDS


def _markdown(measures: Measures) -> str:
    parts = []
    for section in measures.sections:
        rows = [
            f"| {measure.name} | {_value(measure)} | {_target(measure)} | {MARKS[measure.passed]} | {measure.note} |"
            for measure in measures.of(section)
        ]
        parts.append(
            "\n".join(
                [
                    f"### {section}",
                    "",
                    "| measure | value | target | reached | |",
                    "| --- | ---: | ---: | --- | --- |",
                    *rows,
                ]
            )
        )
    return "\n\n".join(parts)


def _summary(measures: Measures) -> str:
    aimed = [measure for measure in measures.measures if measure.passed is not None]
    line = f"{len(aimed) - len(measures.failed)} of {len(aimed)} targets are reached."
    if measures.failed:
        missed = "; ".join(f"{measure.section}: {measure.name}" for measure in measures.failed)
        line += f" Missed: {missed}."
    return line


def _environment(measures: Measures) -> str:
    return ", ".join(f"{name} {value}" for name, value in measures.environment.items())


def _value(measure: Measure) -> str:
    return _number(measure.value, measure.unit)


def _target(measure: Measure) -> str:
    if measure.target is None:
        return ""
    return f"{'≥' if measure.goal == 'at least' else '≤'} {_number(measure.target, measure.unit)}"


def _number(value: float, unit: str) -> str:
    shown = f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{shown} {unit}".rstrip()
