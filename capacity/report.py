"""Renders the tables and the picture of the capacity simulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLORS = {"slot pressure": "#0072B2", "GPU utilisation": "#D55E00"}


def markdown(result: dict[str, Any]) -> str:
    """Renders all tables as Markdown."""
    return "\n\n".join(
        f"{title}\n\n{_table(head, rows)}"
        for title, head, rows in (
            _sizing(result["fewest_pods"], "Fewest pods: p95 of first audio below 1 s, nobody rejected (simulated)"),
            _sizing(result["pods_at_target"], "The same, and at most 0.7 of the slots taken (simulated)"),
            _sizing(result["one_pod"], "One pod (simulated)"),
            _memory(result["memory"]),
            _gpus(result["gpus"]),
            _scaling(result["scaling"]),
        )
    )


def draw(path: Path, result: dict[str, Any]) -> None:
    """Writes a PNG of three panels."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    figure.suptitle("Simulated from points measured on one H100: musicgen-small, 64 slots a pod", fontsize=11)
    one, pods, waits = figure.subplots(1, 3)
    _one_pod(one, result["one_pod"])
    for run in result["scaling"]:
        color, name = _COLORS[run["signal"]], f"by {run['signal']}"
        minutes = [at / 60 for at, _, _ in run["history"]]
        pods.step(minutes, [count for _, count, _ in run["history"]], where="post", color=color, label=name)
        late = run["first_audio_p95_by_minute"]
        waits.plot(range(len(late)), late, color=color, label=name)
    pods.set_title("200 → 1,000 → 200 listeners: pods", fontsize=10)
    pods.set_ylabel("pods")
    waits.set_title("first audio, p95 of each minute", fontsize=10)
    waits.set_ylabel("seconds")
    waits.set_yscale("log")
    waits.set_yticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    waits.axhline(1, color="0.5", linewidth=0.8, linestyle="--")
    for axes in (pods, waits):
        axes.set_xlabel("minutes")
        axes.legend(frameon=False)
    for axes in (one, pods, waits):
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=110)


def _one_pod(axes: Axes, loads: Sequence[dict[str, Any]]) -> None:
    listeners = [load["listeners"] for load in loads]
    axes.plot(listeners, [load["pressure"] for load in loads], color="#0072B2", marker="o", label="slots taken")
    axes.plot(listeners, [load["gpu_busy"] for load in loads], color="#D55E00", marker="^", label="GPU utilisation")
    axes.plot(listeners, [load["rejected"] for load in loads], color="0.3", marker="s", label="rejected")
    axes.axhline(0.7, color="0.5", linewidth=0.8, linestyle="--")
    axes.annotate("target 0.7", (listeners[2], 0.7), ha="left", va="bottom", color="0.4")
    axes.set_title("one pod", fontsize=10)
    axes.set_xlabel("listeners")
    axes.set_ylabel("share")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.93), edgecolor="none", framealpha=1.0)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


_Part = tuple[str, Sequence[str], Sequence[Sequence[object]]]


def _sizing(loads: Sequence[dict[str, Any]], title: str) -> _Part:
    head = [
        "listeners",
        "pods",
        "first audio p50 / p95",
        "queued p95",
        "rejected",
        "slots taken",
        "GPU",
        "slowest stream",
    ]
    rows = [
        (
            f"{load['listeners']:,}",
            load["pods"],
            f"{load['first_audio_p50']:.2f} / {load['first_audio_p95']:.2f} s",
            f"{load['queued_p95']:.2f} s",
            f"{load['rejected']:.1%}",
            f"{load['pressure']:.2f}",
            f"{load['gpu_busy']:.0%}",
            f"{load['slowest_stream']:.1f} ×",
        )
        for load in loads
    ]
    return title, head, rows


def _memory(models: Sequence[dict[str, Any]]) -> _Part:
    gpus = list(models[0]["slots"])
    rows = [
        (model["model"], f"{model['slot_gb']:.2f} GB", f"{model['weights_gb']:.1f} GB", *model["slots"].values())
        for model in models
    ]
    return "Memory and slots (computed)", ["model", "a slot", "weights", *gpus], rows


def _gpus(gpus: Sequence[dict[str, Any]]) -> _Part:
    rows = [
        (
            gpu["gpu"],
            "points measured" if gpu["measured"] else "simulated, not measured",
            gpu["slots_by_memory"],
            _range(gpu, "slots_in_real_time", "{}"),
            _range(gpu, "realtime_full", "{:.0f} ×"),
            _range(gpu, "pods", "{}"),
        )
        for gpu in gpus
    ]
    head = ["GPU", "", "slots by memory", "slots in real time", "× real time when full", "pods for 1,000 listeners"]
    return "Other GPUs, musicgen-small: cautious … at best", head, rows


def _range(gpu: dict[str, Any], name: str, form: str) -> str:
    texts = ["none" if gpu[side][name] is None else form.format(gpu[side][name]) for side in ("low", "high")]
    return texts[0] if texts[0] == texts[1] else " … ".join(texts)


def _scaling(runs: Sequence[dict[str, Any]]) -> _Part:
    head = ["HPA by", "pods before", "peak", "at the end", "pod hours", "rejected", "minutes with p95 ≥ 1 s"]
    rows = [
        (
            run["signal"],
            run["pods_before"],
            run["pods_peak"],
            run["pods_end"],
            f"{run['pod_hours']:.1f}",
            f"{run['rejected']:.1%}",
            run["minutes_late"],
        )
        for run in runs
    ]
    return "A step of 200, 1,000, 200 listeners (simulated)", head, rows
