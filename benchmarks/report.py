"""Prints the results as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.results import Row

_COLUMNS = (
    "contender", "at once", "clip s", "ms/step", "× real time", "per request", "wall s",
    "first audio, ms: p50", "p95", "p99", "the engine is",
)  # fmt: skip
_NONE = "–"


def print_table(console: Console, rows: Sequence[Row], descriptions: Mapping[str, str], title: str) -> None:
    """Prints a line for each row, and below the table how each contender ran and what failed."""
    table = Table(*_COLUMNS[:1], title=title, title_justify="left")
    for column in _COLUMNS[1:]:
        table.add_column(column, justify="right")
    last = rows[0].contender if rows else ""
    for row in rows:
        if row.contender != last:
            table.add_section()
        last = row.contender
        table.add_row(*_cells(row))
    console.print(table)
    for name, description in descriptions.items():
        console.print(f"{name}: {description}", style="dim", markup=False, soft_wrap=True)
    for name, requests, error in _failures(rows):
        console.print(f"{name}, {requests} at once, failed: {error}", style="red", markup=False, soft_wrap=True)


def _cells(row: Row) -> Iterable[str]:
    yield row.contender
    yield str(row.requests)
    yield f"{row.clip_seconds:g}"
    speed = row.throughput
    if speed is None:
        yield from ("failed" if row.error else _NONE, _NONE, _NONE, _NONE)
    else:
        yield _NONE if speed.step_ms is None else f"{speed.step_ms:.2f}"
        yield f"{speed.realtime:.2f}"
        yield f"{speed.realtime_per_request:.2f}"
        yield f"{speed.wall_seconds:.2f}"
    first = row.first_audio
    if first is None:
        yield from (_NONE, _NONE, _NONE)
    else:
        yield from (f"{1000 * value:,.0f}" for value in (first.p50, first.p95, first.p99))
    yield _against_engine(row)


def _against_engine(row: Row) -> str:
    if row.cost_percent is not None:
        return f"cost {row.cost_percent:.1f} %"
    return _NONE if row.engine_ratio is None else f"{row.engine_ratio:.2f}× as fast"


def _failures(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Groups equal errors: (contender, numbers of requests, error)."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.error is not None:
            found.setdefault((row.contender, row.error), []).append(str(row.requests))
    return [(name, ", ".join(requests), error) for (name, error), requests in found.items()]
