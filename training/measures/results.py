"""What was measured, beside what was aimed at; as a file that a model card is made from."""

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
        section: what it is about: a heading of the report.
        name: what was measured, in words.
        value: the figure.
        target: what it should reach; None: only reported.
        goal: "at least" or "at most" the target.
        unit: of value and target.
        note: how it was measured, where the name does not say it.
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
        """Whether the target was reached; None where there is none. A value that is no number reaches nothing."""
        if self.target is None:
            return None
        return self.value >= self.target if self.goal == "at least" else self.value <= self.target


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one run.

    Attributes:
        measures: in the order of the report.
        details: by section, what the figures were made of: values of each clip group, confusions, bins.
        environment: processor, cores, versions, seeds, date-free: the same machine writes the same file, timings apart.
    """

    measures: tuple[Measure, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[Measure, ...]:
        """Those that missed their target."""
        return tuple(measure for measure in self.measures if measure.passed is False)

    @property
    def sections(self) -> list[str]:
        """The headings, in order."""
        return list(dict.fromkeys(measure.section for measure in self.measures))

    def of(self, section: str) -> Sequence[Measure]:
        """The measures under one heading."""
        return [measure for measure in self.measures if measure.section == section]

    def write(self, path: Path) -> None:
        """Writes JSON; each measure with `passed` beside its target."""
        rows = [{**asdict(measure), "passed": measure.passed} for measure in self.measures]
        content = {"measures": rows, "details": self.details, "environment": self.environment}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Measures:
        """Reads what `write` wrote.

        Raises:
            InvalidRequest: the file is absent or no such file.
        """
        try:
            content = json.loads(path.read_text())
            rows = [{key: value for key, value in row.items() if key != "passed"} for row in content["measures"]]
            return cls(tuple(Measure(**row) for row in rows), content["details"], content["environment"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(
                "measures", str(path), f"must be a measures.json ({type(error).__name__}: {error})"
            ) from error
