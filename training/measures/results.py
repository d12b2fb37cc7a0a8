"""Measured figures with their targets, and the file that stores them for the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audiocraft_triton.contract.errors import InvalidRequest

MEASURES_FILE = "measures.json"
GOALS = ("at least", "at most")


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure.

    Attributes:
        section: heading in the report.
        name: name of the figure, in words.
        value: the figure.
        target: value to reach; None: only reported.
        goal: "at least" or "at most" the target.
        unit: of value and target.
        note: details of the measurement that the name leaves out.
    """

    section: str
    name: str
    value: float
    target: float | None = None
    goal: str = "at least"
    unit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise InvalidRequest("goal", self.goal, f"must be one of {', '.join(GOALS)}")

    @property
    def passed(self) -> bool | None:
        """Whether the target was reached; None without a target. A value of NaN reaches no target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.goal == "at least" else self.value <= self.target


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one run.

    Attributes:
        measures: in the order of the report.
        details: the values behind the figures, by section: values of each clip group, confusions, bins.
        environment: processor, cores, versions and seeds, but no date, so that one machine always writes the same file
            except for timings.
    """

    measures: tuple[Measure, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[Measure, ...]:
        """The measures that missed their target."""
        return tuple(measure for measure in self.measures if measure.passed is False)

    @property
    def sections(self) -> list[str]:
        """The headings, in order."""
        return list(dict.fromkeys(measure.section for measure in self.measures))

    def of(self, section: str) -> Sequence[Measure]:
        """Returns the measures under one heading."""
        return [measure for measure in self.measures if measure.section == section]

    def write(self, path: Path) -> None:
        """Writes JSON; each measure has `passed` next to its target."""
        rows = [{**asdict(measure), "passed": measure.passed} for measure in self.measures]
        content = {"measures": rows, "details": self.details, "environment": self.environment}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Measures:
        """Reads a file that `write` wrote.

        Raises:
            InvalidRequest: the file is missing, or has another format.
        """
        try:
            content = json.loads(path.read_text())
            rows = [{key: value for key, value in row.items() if key != "passed"} for row in content["measures"]]
            return cls(tuple(Measure(**row) for row in rows), content["details"], content["environment"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(
                "measures", str(path), f"must be a measures.json ({type(error).__name__}: {error})"
            ) from error
