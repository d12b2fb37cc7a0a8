"""Draws the results: throughput, and the time that callers wait for the first sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.results import Row

# Colours that colour-blind readers can tell apart (Okabe and Ito); the markers work in black and white.
_STYLES = {
    "engine": ("#0072B2", "o"),
    "triton": ("#009E73", "s"),
    "audiocraft": ("#D55E00", "^"),
    "transformers": ("#CC79A7", "D"),
}
_NUMBER = FuncFormatter(lambda value, _position: f"{value:,.12g}")


def draw(path: Path, rows: Sequence[Row], title: str, subtitle: str) -> None:
    """Writes a PNG of two panels."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    figure.suptitle(f"{title}\n{subtitle}", fontsize=11)
    speed, wait = figure.subplots(1, 2)
    for name, (color, marker) in _STYLES.items():
        own = [row for row in rows if row.contender == name]
        speeds = [(row.requests, row.throughput.realtime) for row in own if row.throughput]
        waits = [(row.requests, 1000 * row.first_audio.p95) for row in own if row.first_audio]
        for axes, points in ((speed, speeds), (wait, waits)):
            if points:
                axes.plot(*zip(*points, strict=True), color=color, marker=marker, label=name, linewidth=1.8)
    speed.axhline(1, color="0.5", linewidth=0.8, linestyle="--")
    speed.annotate("real time", (0.99, 1), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.5")
    speed.set_title("throughput: whole clips")
    speed.set_ylabel("× real time (all requests together)")
    wait.set_title("time to first audio: streams")
    wait.set_ylabel("p95, milliseconds")
    counts = sorted({row.requests for row in rows})
    for axes in (speed, wait):
        _finish(axes, counts)
    figure.savefig(path, dpi=130)


def _finish(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("requests at once")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(_NUMBER)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="0.5")
