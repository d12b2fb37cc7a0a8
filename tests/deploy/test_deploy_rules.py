"""The rules as Prometheus itself evaluates them, and a scale-up decided from a real server's recorded metrics."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.needs_program("promtool")

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "helm/audiocraft-triton/files/rules.yaml"
TESTS = DEPLOY / "prometheus/rules_test.yaml"
RECORDED = DEPLOY / "prometheus/recorded_load.yaml"
TARGET = 0.7


def promtool(*arguments: str | Path) -> None:
    answer = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_accepts_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_every_rule_passes_its_promtool_tests() -> None:
    promtool("test", "rules", TESTS)


def test_every_rule_is_tested() -> None:
    text = TESTS.read_text()
    for rule in rules():
        name = rule.get("record") or rule["alert"]
        assert name in text, f"{name} has no test"


def test_every_alert_links_to_a_runbook() -> None:
    headings = {
        line.removeprefix("## ").strip().lower().replace(" ", "-")
        for line in (DEPLOY.parent / "docs/operations.md").read_text().splitlines()
        if line.startswith("## ")
    }
    for alert in (rule for rule in rules() if "alert" in rule):
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page.startswith("https://"), "a pager knows no folder to start from"
        assert anchor in headings, f"{alert['alert']} points at #{anchor}"
        assert alert["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize(
    ("minute", "callers", "replicas"),
    [(2.0, "nobody", 1), (4.0, "3 on 8 slots", 1), (11.0, "24 on 8 slots", 5), (20.0, "nobody again", 1)],
)
def test_a_recorded_load_scales_up_and_down(tmp_path: Path, minute: float, callers: str, replicas: int) -> None:
    """One pod with 24 concurrent requests: ceil(1 × 3.0 / 0.7) = 5 pods are needed."""
    decision = f"clamp_min(ceil(max(audiocraft:slot_pressure:instance) / {TARGET}), 1)"
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "name": callers,
                "interval": "15s",
                "input_series": yaml.safe_load(RECORDED.read_text())["input_series"],
                "promql_expr_test": [
                    {
                        "expr": decision,
                        "eval_time": f"{round(60 * minute)}s",
                        "exp_samples": [{"labels": "{}", "value": replicas}],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "scaling.yaml"
    file.write_text(yaml.safe_dump(test))
    promtool("test", "rules", file)


def test_the_recording_shows_a_full_queue() -> None:
    series = {
        entry["series"].partition("{")[0]: entry["values"]
        for entry in yaml.safe_load(RECORDED.read_text())["input_series"]
    }
    slots, active, waiting = (
        max(map(int, series[name].split()))
        for name in ("audiocraft_slots", "audiocraft_active_slots", "audiocraft_waiting_requests")
    )
    assert active == slots
    assert math.ceil((active + waiting) / slots / TARGET) == 5
