"""The benchmark's command runs end to end and reports its measurements. No test asserts a speed."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from audiocraft.models import MusicGen
from typer.testing import CliRunner

from audiocraft_triton.checkpoints.layout import resolve
from audiocraft_triton.checkpoints.loading import load_codec, load_lm
from audiocraft_triton.contract.errors import CheckpointError
from benchmarks import contenders
from benchmarks.__main__ import app
from benchmarks.measure import (
    MOST_RUNS,
    at_once,
    percentiles,
    repeated,
)
from benchmarks.results import Row, Throughput, compare_with_engine
from benchmarks.shapes import SHAPES, ready_checkpoint, write_random_checkpoint

PROJECT = Path(__file__).resolve().parent.parent.parent
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo checkpoint."""
    folder = tmp_path_factory.mktemp("benchmark-checkpoints")
    ready_checkpoint("demo", folder, CPU, say=lambda _text: None)
    return folder


def run_command(checkpoints: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--device", "cpu", "--checkpoints", str(checkpoints), "--out", str(out),
         *arguments],
        cwd=PROJECT, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_command_writes_a_table_a_result_file_and_a_chart(checkpoints: Path, tmp_path: Path) -> None:
    names = ["engine", "audiocraft", "transformers"]
    done = run_command(
        checkpoints, tmp_path, "--requests", "1,2", "--seconds", "0.4", "--audiocraft-seconds", "0.2",
        "--contenders", ",".join(names),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "engine, 2 at once: time to first audio" in done.stderr

    result = json.loads((tmp_path / "cpu-demo.json").read_text())
    assert result["schema"] == 1
    assert result["hardware"]["cores"] >= 1
    assert result["hardware"]["gpu"] is None
    assert {"python", "torch", "numpy", "commit", "audiocraft", "transformers"} == set(result["versions"])
    assert result["command"].startswith("python -m benchmarks --device cpu")
    assert result["settings"]["sizes"] == dataclasses.asdict(SHAPES["demo"])
    assert result["settings"]["requests"] == result["settings"]["streams"] == [1, 2]
    assert list(result["contenders"]) == names

    rows = result["results"]
    assert [(row["contender"], row["requests"]) for row in rows] == [(name, n) for name in names for n in (1, 2)]
    for row in rows:
        check_row(row)
    for line in ("engine", "audiocraft", "transformers", "first audio", "random weights of its own"):
        assert line in done.stdout
    assert (tmp_path / "cpu-demo.png").read_bytes().startswith(b"\x89PNG")


def check_row(row: dict[str, Any]) -> None:
    speed, first = row["throughput"], row["first_audio"]
    assert row["error"] is None
    assert row["clip_seconds"] == (0.4 if row["contender"] == "engine" else 0.2)
    assert 1 <= len(speed["runs"]) <= MOST_RUNS
    assert speed["realtime"] == pytest.approx(row["requests"] * row["clip_seconds"] / speed["wall_seconds"])
    assert speed["realtime_per_request"] == pytest.approx(speed["realtime"] / row["requests"])
    if row["contender"] == "engine":
        assert row["engine_ratio"] is None
        assert 0 < first["p50"] <= first["p95"] <= first["p99"]
        assert first["samples"] == row["requests"] * MOST_RUNS
    else:
        assert first is None
        assert speed["step_ms"] == pytest.approx(1000 * speed["wall_seconds"] / (50 * row["clip_seconds"]))
        assert row["engine_ratio"] > 0


def test_triton_is_measured_through_a_real_server(checkpoints: Path, tmp_path: Path) -> None:
    done = run_command(
        checkpoints, tmp_path, "--contenders", "triton", "--requests", "1", "--streams", "2", "--seconds", "0.3"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "cpu-demo.json").read_text())
    one, two = result["results"]
    assert result["versions"]["tritonserver"].startswith("2.")
    assert (one["requests"], one["first_audio"]) == (1, None)
    assert one["throughput"]["realtime"] > 0
    assert (two["requests"], two["throughput"]) == (2, None)
    assert two["first_audio"]["samples"] == 2 * MOST_RUNS


class Sleepless:
    """A contender that makes silence without delay, and fails for two requests."""

    description = "silence"
    versions: dict[str, str] = {}  # noqa: RUF012

    def generate(self, requests: int, seconds: float) -> SimpleNamespace:
        if requests == 2:
            raise MemoryError("no room for 2")
        silence = torch.zeros(int(seconds * 32_000)).numpy()
        return SimpleNamespace(waveforms=[silence] * requests, sample_rate=32_000, wall_seconds=0.1, step_seconds=None)


@contextmanager
def opened(_job: object) -> Iterator[Sleepless]:
    """The function that `contender_opener` looks for in a contender's module, which is this module here."""
    yield Sleepless()


def test_a_failing_contender_loses_only_its_own_figures(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders, "CONTENDERS", {**contenders.CONTENDERS, "engine": "absent", "triton": __name__})
    done = CliRunner().invoke(
        app,
        ["--device", "cpu", "--checkpoints", str(checkpoints), "--out", str(tmp_path), "--requests", "1,2,3",
         "--contenders", "engine,triton"],
    )  # fmt: skip
    assert done.exit_code == 1
    rows = json.loads((tmp_path / "cpu-demo.json").read_text())["results"]
    assert [(row["contender"], row["requests"], row["error"]) for row in rows] == [
        ("engine", 1, "ModuleNotFoundError: No module named 'absent'"),
        ("engine", 2, "ModuleNotFoundError: No module named 'absent'"),
        ("engine", 3, "ModuleNotFoundError: No module named 'absent'"),
        ("triton", 1, None),
        ("triton", 2, "MemoryError: no room for 2"),
        ("triton", 3, None),
    ]
    assert "triton, 2 at once, failed: MemoryError: no room for 2" in done.output
    assert "engine, 1, 2, 3 at once, failed" in done.output
    assert (tmp_path / "cpu-demo.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--requests", "0,1"], "whole numbers from 1 on"),
        (["--requests", "two"], "whole numbers from 1 on"),
        (["--streams", "-1"], "whole numbers from 0 on"),
        (["--contenders", "engine,vllm"], "must be among engine, triton, audiocraft, transformers"),
        (["--seconds", "40"], "--seconds"),
    ],
)
def test_bad_options_are_named(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert message in done.output


def test_percentiles_of_durations() -> None:
    hundred = percentiles([index / 100 for index in range(101)])
    assert (hundred.p50, hundred.p95, hundred.p99) == pytest.approx((0.5, 0.95, 0.99))
    assert hundred.samples == 101
    one = percentiles([0.25])
    assert (one.p50, one.p95, one.p99, one.samples) == (0.25, 0.25, 0.25, 1)
    assert percentiles([3.0, 1.0]).p50 == 2.0
    with pytest.raises(ValueError, match="no durations"):
        percentiles([])


def test_short_runs_are_repeated_and_long_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("benchmarks.measure.time", SimpleNamespace(perf_counter=lambda: clock))

    def run(seconds: float) -> float:
        nonlocal clock
        clock += seconds
        return seconds

    assert repeated(lambda: run(1.0)) == [1.0] * MOST_RUNS
    assert repeated(lambda: run(4.0)) == [4.0] * 2
    assert repeated(lambda: run(60.0)) == [60.0]


def test_calls_start_together_and_the_first_failure_is_raised() -> None:
    results, seconds = at_once([lambda: "a", lambda: "b"])
    assert results == ["a", "b"]
    assert seconds > 0

    def fail() -> str:
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        at_once([lambda: "a", fail])


def test_ratios_compare_only_equal_numbers_of_requests() -> None:
    def row(contender: str, requests: int, realtime: float) -> Row:
        return Row(contender, requests, 10.0, Throughput(1.0, [1.0], None, realtime, realtime / requests))

    rows = [row("engine", 8, 100.0), row("triton", 8, 80.0), row("audiocraft", 8, 5.0), row("audiocraft", 1, 1.0)]
    compare_with_engine(rows)
    assert [each.engine_ratio for each in rows] == [None, 1.25, 20.0, None]
    assert [each.cost_percent for each in rows] == pytest.approx([None, 20.0, None, None])


def test_a_checkpoint_is_built_once_and_never_overwritten(checkpoints: Path, tmp_path: Path) -> None:
    told: list[str] = []
    assert ready_checkpoint("demo", checkpoints, CPU, told.append) == checkpoints / "demo"
    assert told == []
    mine = tmp_path / "small" / "state_dict.bin"
    mine.parent.mkdir()
    mine.write_bytes(b"weights that took weeks")
    with pytest.raises(CheckpointError, match="not the checkpoint of this shape"):
        ready_checkpoint("small", tmp_path, CPU, told.append)
    assert mine.read_bytes() == b"weights that took weeks"


def test_random_weights_of_a_large_shape_give_finite_sound(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    # Two of its 24 layers and one of the text encoder's 12, because only the widths could cause an overflow.
    write_random_checkpoint(folder, dataclasses.replace(SHAPES["small"], layers=2, text_layers=1), CPU)
    checkpoint = resolve(str(folder))
    lm = load_lm(checkpoint, CPU)
    logits: list[torch.Tensor] = []
    for head in lm.linears:
        head.register_forward_hook(lambda _module, _input, output: logits.append(output))
    model = MusicGen("cut", load_codec(checkpoint, CPU), lm)
    model.set_generation_params(duration=0.2)
    sound = model.generate(["calm solo piano", ""])
    assert sound.shape == (2, 1, 6400)
    assert sound.isfinite().all()
    assert sound.std() > 1e-3
    # Far below float16's limit, and not silent.
    assert 0.1 < float(torch.cat([each.flatten() for each in logits]).abs().max()) < 1000
